"""The comparison report as one HTML page and as Markdown."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from studio.app.comparison.seed_groups import ComparisonReport, SeedGroup
from studio.app.comparison.templates import render
from studio.core.errors import write_error
from studio.core.files import write_text
from studio.core.formatting import format_bytes, format_count, format_duration
from studio.core.messages import N_

HEADER = ("", "method", "trainable parameters", "accuracy", "runs", "time", "memory", "adapter")
_TITLES = {"parameters": "Accuracy by trainable parameters", "curves": "Accuracy by epoch"}
_NOTE = (
    "Accuracy is the best validation accuracy of each run; ± is the 95 % confidence interval of the mean over runs "
    "that differ only in their seed. A star marks the Pareto front: no method with as few parameters is better."
)


def write_report(report: ComparisonReport, folder: Path) -> Path:
    """Write ``report.html``, ``report.md`` and its charts; return the page.

    Raises StudioError if ``folder`` cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, chart in report.charts().items():
            if chart:
                write_text(folder / f"report-{name}.svg", chart + "\n")
        write_text(folder / "report.md", render_markdown(report))
        write_text(folder / "report.html", render_html(report))
    except OSError as error:
        raise write_error(N_("the report"), folder, error) from error
    return folder / "report.html"


def render_html(report: ComparisonReport) -> str:
    """Return a page that needs no other file."""
    return render(
        "report.html.j2",
        summary=_summary(report),
        note=_NOTE,
        header=HEADER,
        results=[(group, _cells(group, group in report.pareto_front)) for group in report.groups],
        charts=[(_TITLES[name], Markup(svg)) for name, svg in report.charts().items() if svg],
        differences=_difference_rows(report),
    )


def render_markdown(report: ComparisonReport) -> str:
    """Return the report as Markdown, with the charts as files beside it."""
    results = [(group.number, *_cells(group, group in report.pareto_front)) for group in report.groups]
    charts = "\n\n".join(f"![{name}](report-{name}.svg)" for name, svg in report.charts().items() if svg)
    parts = ["# Comparison of runs", _summary(report), _markdown_table(HEADER, results), _NOTE, charts]
    if report.differences:
        numbers = ("recipe", *(str(g.number) for g in report.groups))
        parts += ["## Differences of the recipes", _markdown_table(numbers, _difference_rows(report))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(report: ComparisonReport) -> str:
    runs = sum(len(group.runs) for group in report.groups)
    complete = sum(group.num_completed for group in report.groups)
    rest = f"; {runs - complete} incomplete, not in the means" if complete < runs else ""
    return f"{runs} runs of {len(report.groups)} recipes{rest}."


def _cells(group: SeedGroup, on_front: bool) -> tuple[str, ...]:
    interval = f" ± {100 * group.accuracy_halfwidth:.1f}" if group.accuracy_halfwidth is not None else ""
    done, runs = group.num_completed, len(group.runs)
    return (
        group.label + (" ★" if on_front else ""),
        "?" if group.parameters is None else format_count(group.parameters),
        "?" if group.accuracy is None else f"{100 * group.accuracy:.1f}{interval} %",
        str(done) if done == runs else f"{done} of {runs}",
        "?" if group.seconds is None else format_duration(group.seconds),
        "?" if group.peak_memory_bytes is None else format_bytes(group.peak_memory_bytes),
        "?" if group.adapter_bytes is None else format_bytes(group.adapter_bytes),
    )


def _difference_rows(report: ComparisonReport) -> list[tuple[str, ...]]:
    return [(d.key, *("" if value is None else _value_text(value) for value in d.values)) for d in report.differences]


def _value_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
