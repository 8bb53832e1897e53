"""A report as one HTML page that needs nothing else, and as Markdown."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from studio.app.comparison.seed_groups import ComparisonReport, SeedGroup
from studio.app.comparison.svg_charts import series_color
from studio.core.errors import StudioError
from studio.core.files import write_text
from studio.core.formatting import format_duration

HEADER = ("", "method", "trainable parameters", "accuracy", "runs", "time", "memory", "adapter")
_NOTE = (
    "Accuracy is the best that each run reached on its validation images; ± is the 95 % confidence interval of the "
    "mean over runs that differ in their seed alone. A star marks what nothing with as few parameters beats."
)
_STYLE = """
:root { color-scheme: light dark; --ink: #22272e; --soft: #5c6570; --rule: #dfe3e8; --paper: #ffffff }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #a3acb8; --rule: #343b44; --paper: #171b20 } }
body { margin: 0 auto; max-width: 1040px; padding: 32px 24px 64px; background: var(--paper); color: var(--ink);
       font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 24px; margin: 0 0 4px } h2 { font-size: 17px; margin: 36px 0 8px }
p { color: var(--soft); margin: 4px 0 }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: 7px 12px 7px 0; border-bottom: 1px solid var(--rule); vertical-align: top }
th { color: var(--soft); font-weight: 500; font-size: 13px; white-space: nowrap }
th.figure, td.figure { padding-left: 16px; padding-right: 0 }
td:first-child { white-space: nowrap } td:not(:first-child) { overflow-wrap: break-word }
.figure { text-align: right; white-space: nowrap } small { color: var(--soft) }
.mark { display: inline-block; min-width: 20px; line-height: 20px; border-radius: 10px; text-align: center; color: #fff;
        font-size: 11px; font-weight: 600 }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(400px, 1fr)); gap: 24px }
.charts h2 { margin-top: 28px } svg { width: 100%; height: auto; display: block }
"""


def write_report(report: ComparisonReport, folder: Path) -> Path:
    """Write ``report.html``, one page that needs nothing else, and ``report.md`` with its charts; return the page."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, chart in report.charts().items():
            if chart:
                write_text(folder / f"report-{name}.svg", chart + "\n")
        write_text(folder / "report.md", render_markdown(report))
        write_text(folder / "report.html", render_html(report))
    except OSError as error:
        raise StudioError(f"The report cannot be written to {folder}: {error.strerror}.") from error
    return folder / "report.html"


def render_html(report: ComparisonReport) -> str:
    """The page: what came out, two charts, what the recipes differ in, and every run."""
    titles = {"parameters": "Accuracy against parameters", "curves": "Accuracy while training"}
    charts = "".join(f"<div><h2>{titles[name]}</h2>{svg}</div>" for name, svg in report.charts().items() if svg)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Comparison of runs</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f"<h1>Comparison of runs</h1><p>{_summary(report)}</p>{_results(report)}<p>{_NOTE}</p>"
        f'<div class="charts">{charts}</div>{_differences(report)}{_runs(report)}</body></html>\n'
    )


def render_markdown(report: ComparisonReport) -> str:
    """The same for places that show Markdown; the charts lie beside it."""
    starred = report.pareto_front
    results = [(group.number, *_cells(group, group in starred)) for group in report.groups]
    charts = "\n\n".join(f"![{name}](report-{name}.svg)" for name, svg in report.charts().items() if svg)
    parts = ["# Comparison of runs", _summary(report), _markdown_table(HEADER, results), _NOTE, charts]
    if report.differences:
        numbers = ("recipe", *(str(g.number) for g in report.groups))
        parts += ["## What the recipes differ in", _markdown_table(numbers, _difference_rows(report))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(report: ComparisonReport) -> str:
    runs = sum(len(group.runs) for group in report.groups)
    complete = sum(group.num_completed for group in report.groups)
    rest = f", {runs - complete} of them not complete and left out of the means" if complete < runs else ""
    return f"{runs} runs of {len(report.groups)} recipes{rest}."


def _cells(group: SeedGroup, starred: bool) -> tuple[str, ...]:
    interval = f" ± {100 * group.accuracy_halfwidth:.1f}" if group.accuracy_halfwidth is not None else ""
    accuracy = f"{100 * group.accuracy:.1f}{interval} %" if group.accuracy is not None else "?"
    complete = (
        str(group.num_completed)
        if group.num_completed == len(group.runs)
        else f"{group.num_completed} of {len(group.runs)}"
    )
    return (
        group.label + (" ★" if starred else ""),
        f"{group.parameters:,}" if group.parameters is not None else "?",
        accuracy,
        complete,
        format_duration(group.seconds) if group.seconds is not None else "?",
        f"{group.peak_memory_bytes / 1e6:,.0f} MB" if group.peak_memory_bytes is not None else "?",
        f"{group.adapter_bytes / 1e3:,.0f} kB" if group.adapter_bytes is not None else "?",
    )


def _results(report: ComparisonReport) -> str:
    starred = report.pareto_front
    rows = "".join(_result_row(group, group in starred) for group in report.groups)
    return f'<div class="scroll"><table>{_header_row(HEADER, figures_from=2)}{rows}</table></div>'


def _result_row(group: SeedGroup, starred: bool) -> str:
    label, *figures = (escape(cell) for cell in _cells(group, starred))
    cells = "".join(f'<td class="figure">{cell}</td>' for cell in figures)
    name = f"{label}<br><small>{_breakable(group.attachments)}</small>"
    return f"<tr><td>{_number_badge(group.number)}</td><td>{name}</td>{cells}</tr>"


def _differences(report: ComparisonReport) -> str:
    if not report.differences:
        return ""
    head = "".join(f"<th>{_number_badge(group.number)}</th>" for group in report.groups)
    rows = "".join(_table_row(values) for values in _difference_rows(report))
    table = f'<div class="scroll"><table><tr><th>recipe</th>{head}</tr>{rows}</table></div>'
    return f"<h2>What the recipes differ in</h2>{table}"


def _runs(report: ComparisonReport) -> str:
    rows = "".join(
        f"<tr><td>{_number_badge(g.number)}</td>{''.join(f'<td>{escape(cell)}</td>' for cell in _run_cells(run))}</tr>"
        for g in report.groups
        for run in g.runs
    )
    return f'<h2>Every run</h2><div class="scroll"><table>{_header_row(("", "run", "accuracy", "state"))}{rows}</table></div>'


def _run_cells(run: Any) -> tuple[str, str, str]:
    return run.run, f"{run.accuracy:.1%}" if run.accuracy is not None else "?", run.state


def _difference_rows(report: ComparisonReport) -> list[tuple[str, ...]]:
    return [(d.key, *("" if value is None else _value_text(value) for value in d.values)) for d in report.differences]


def _value_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _number_badge(number: int) -> str:
    return f'<span class="mark" style="background:{series_color(number)}">{number}</span>'


def _header_row(names: Sequence[str], figures_from: int = 99) -> str:
    cells = (f"<th{' class=figure' if i >= figures_from else ''}>{escape(name)}</th>" for i, name in enumerate(names))
    return f"<tr>{''.join(cells)}</tr>"


def _table_row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td>{_breakable(cell)}</td>' for cell in cells)}</tr>"


def _breakable(text: str) -> str:
    """Text that may go on in the next line after a comma."""
    return escape(text).replace(",", ",<wbr>")


def _markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
