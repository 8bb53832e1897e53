"""Reports: seed groups, intervals, Pareto front, and escaping."""

import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest
from scipy import stats

from studio.app.comparison import report_writer, svg_charts
from studio.app.comparison.report_writer import render_html, render_markdown
from studio.app.comparison.scale import Scale
from studio.app.comparison.seed_groups import confidence_halfwidth, group_runs
from studio.core import events
from studio.core.recipe import Recipe
from studio.core.run import Run


def recipe(rank: int, seed: int, **training: object) -> Recipe:
    attachment = {"name": "low", "method": "lora", "at": ["blocks.*.attn.qkv"], "rank": rank}
    return Recipe.from_mapping({"attachments": [attachment], "training": {"seed": seed, **training}})


def made(path: Path, what: Recipe, parameters: int, *accuracies: float, reason: str = "completed") -> Run:
    """A run that was evaluated after each epoch, with these accuracies."""
    run = Run.create(what, path)
    counts = {"training_images": 8, "validation_images": 2, "total_parameters": 1000}
    run.append_event(events.Started(step=0, steps=4, epochs=2, device="cpu", trainable_parameters=parameters, **counts))
    for epoch, accuracy in enumerate(accuracies):
        best = accuracy == max(accuracies[: epoch + 1])
        run.append_event(
            events.Evaluation(epoch=epoch, step=epoch, split="validation", loss=0.5, accuracy=accuracy, best=best)
        )
    run.append_event(events.Finished(step=4, reason=reason, seconds=10.0, best_accuracy=max(accuracies), best_epoch=0))
    (path / "adapter.safetensors").write_bytes(b"x" * parameters * 4)
    return run


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """Two seeds of rank 2 and of rank 4, one run of a rank 8 that is worse than rank 4, and an unfinished one of it."""
    return [
        made(tmp_path / "a0", recipe(2, 0), 100, 0.2, 0.80),
        made(tmp_path / "b0", recipe(4, 0), 200, 0.2, 0.92),
        made(tmp_path / "a1", recipe(2, 1), 100, 0.4, 0.84, 0.7),
        made(tmp_path / "b1", recipe(4, 1), 200, 0.2, 0.94),
        made(tmp_path / "c0", recipe(8, 0), 400, 0.2, 0.90),
        made(tmp_path / "c1", recipe(8, 1), 400, 0.1, 0.30, reason="stopped"),
    ]


def test_runs_that_differ_in_their_seed_alone_are_taken_together(runs: list[Run]) -> None:
    two, four, eight = group_runs(runs).groups
    assert [Path(row.run).name for row in two.runs] == ["a0", "a1"]
    assert two.accuracy == pytest.approx(0.82)
    assert two.accuracy_halfwidth == pytest.approx(stats.t.ppf(0.975, 1) * 0.02, rel=1e-3)
    assert (two.label, two.parameters, two.adapter_bytes, two.seconds) == ("LoRA r2", 100, 400, 10.0)
    assert four.accuracy == pytest.approx(0.93)
    assert (eight.accuracy, eight.accuracy_halfwidth, eight.num_completed, len(eight.runs)) == (0.9, None, 1, 2)


@pytest.mark.parametrize("count", [2, 3, 6, 21, 22, 60])
def test_the_interval_is_student_s(count: int) -> None:
    values = [((i * 37) % 11) / 20 for i in range(count)]
    expected = stats.t.ppf(0.975, count - 1) * stats.sem(values)
    assert confidence_halfwidth(values) == pytest.approx(expected, rel=2e-3)
    assert confidence_halfwidth(values[:1]) is None


def test_the_pareto_front(runs: list[Run]) -> None:
    assert [group.label for group in group_runs(runs).pareto_front] == ["LoRA r2", "LoRA r4"]


def test_labels_of_equal_methods_show_the_difference(tmp_path: Path) -> None:
    slow = made(tmp_path / "a", recipe(2, 0), 100, 0.5)
    fast = made(tmp_path / "b", recipe(2, 0, learning_rate=0.5), 100, 0.6)
    assert [g.label for g in group_runs([slow, fast]).groups] == [
        "LoRA r2, learning_rate 0.001",
        "LoRA r2, learning_rate 0.5",
    ]


def test_an_attachment_that_not_every_recipe_has_is_one_difference(tmp_path: Path) -> None:
    alone = made(tmp_path / "a", Recipe(), 10, 0.5)
    found = group_runs([alone, made(tmp_path / "b", recipe(2, 0), 100, 0.6)])
    assert [d.key for d in found.differences] == ["attachments.low"]
    assert found.differences[0].values == (None, "lora@blocks.*.attn.qkv,rank=2")
    assert found.groups[0].label == "head alone"


class Links(HTMLParser):
    """Collects what a page would load, and checks that its tags match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [str(value) for key, value in attrs if key in ("src", "href", "srcset")]
        if tag not in ("meta", "br", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_charts_are_well_formed(runs: list[Run], tmp_path: Path) -> None:
    page = report_writer.write_report(group_runs(runs), tmp_path / "report")
    links = Links()
    links.feed(page.read_text())
    assert (links.open, links.loaded) == ([], [])
    assert "82.0 ± 25.4 %" in page.read_text()
    assert "LoRA r4 ★" in page.read_text()
    text = (tmp_path / "report" / "report.md").read_text()
    for name in ("report-parameters.svg", "report-curves.svg"):
        assert f"({name})" in text
        ElementTree.parse(tmp_path / "report" / name)


def test_a_name_cannot_write_into_the_page(tmp_path: Path) -> None:
    attachment = {"name": "a", "method": "<script>|x", "at": ["<b>"]}
    run = made(tmp_path / "run", Recipe.from_mapping({"attachments": [attachment]}), 100, 0.5)
    found = group_runs([run])
    assert "<script>" not in render_html(found)
    assert "<b>" not in render_html(found)
    assert r"<script>\|x" in render_markdown(found)


def test_runs_without_a_result_make_a_page_without_charts(tmp_path: Path) -> None:
    found = group_runs([Run.create(recipe(2, 0), tmp_path / "run")])
    assert found.charts() == {"parameters": "", "curves": ""}
    assert found.pareto_front == ()
    assert "<svg" not in render_html(found)
    assert "1 incomplete, not in the means" in render_html(found)


def test_the_charts_show_every_series_with_its_error_bars(runs: list[Run]) -> None:
    space = "{http://www.w3.org/2000/svg}"
    charts = {name: ElementTree.fromstring(svg) for name, svg in group_runs(runs).charts().items()}
    parameters, curves = charts["parameters"], charts["curves"]
    assert [title.text for title in parameters.iter(f"{space}title")] == ["LoRA r2", "LoRA r4", "LoRA r8"]
    bars = [line for line in parameters.iter(f"{space}line") if line.get("class") != "rule"]
    assert len(bars) == 2
    assert parameters.find(f"{space}polyline").get("points").count(",") == 2
    assert len(list(curves.iter(f"{space}polyline"))) == len(runs) + 3
    assert {text.text for text in parameters.iter(f"{space}text")} >= {"100", "trainable parameters"}


def test_scales_go_from_values_to_pixels_and_back_to_round_numbers() -> None:
    linear = Scale(0.13, 0.96, 300, 0)
    assert linear.ticks() == [0.2, 0.4, 0.6, 0.8]
    assert linear(0.96) == 0
    logarithmic = Scale(1000, 100_000, 0, 200, logarithmic=True)
    assert logarithmic(10_000) == pytest.approx(100)
    assert logarithmic.ticks() == [1000, 10_000, 100_000]


def test_the_mean_of_curves_is_taken_where_there_are_any() -> None:
    assert svg_charts.mean_line([[(0, 0.2), (1, 0.4)], [(0, 0.4)]]) == [(0, pytest.approx(0.3)), (1, 0.4)]
