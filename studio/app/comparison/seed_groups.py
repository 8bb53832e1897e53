"""Runs grouped over seeds: mean accuracy with a confidence interval, and cost."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from studio.app.comparison.comparison import HEAD_ALONE, RecipeDifference, RunSummary, compare, recipe_differences
from studio.app.comparison.svg_charts import Curve, Point, line_chart, scatter
from studio.core import events
from studio.core.attachment_spec import format_spec
from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Recipe
from studio.core.run import Run

# fmt: off
_STUDENT_T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)
# fmt: on
"""Quantiles of Student's t at 97.5 % for 1, 2, … degrees of freedom."""


@dataclass(frozen=True, slots=True)
class SeedGroup:
    """Runs whose recipes differ only in the seed.

    Means are over the completed runs, None without any. ``accuracy_halfwidth`` is half of the 95 % confidence interval
    of the mean accuracy, None for fewer than two runs.
    """

    number: int
    label: str
    attachments: str
    runs: tuple[RunSummary, ...]
    num_completed: int
    parameters: int | None
    accuracy: float | None
    accuracy_halfwidth: float | None
    seconds: float | None
    adapter_bytes: int | None
    peak_memory_bytes: int | None = None

    def as_point(self) -> Point:
        """Return the group as accuracy over parameters; it must have both."""
        assert self.parameters is not None
        assert self.accuracy is not None
        return Point(self.number, self.label, self.parameters, self.accuracy, self.accuracy_halfwidth or 0.0)


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """The groups, their recipes' differences, and accuracy by epoch of each run."""

    groups: tuple[SeedGroup, ...]
    differences: tuple[RecipeDifference, ...]
    curves: tuple[Curve, ...]

    @property
    def pareto_front(self) -> tuple[SeedGroup, ...]:
        """The Pareto front of accuracy over parameters, from small to large."""
        best: list[SeedGroup] = []
        for group in sorted(self._measured_groups(), key=lambda g: (g.parameters or 0, -(g.accuracy or 0))):
            if not best or (group.accuracy or 0) > (best[-1].accuracy or 0):
                best.append(group)
        return tuple(best)

    def _measured_groups(self) -> list[SeedGroup]:
        return [g for g in self.groups if g.accuracy is not None and g.parameters]

    def charts(self) -> dict[str, str]:
        """Return the charts as SVG by name; empty if there is nothing to draw."""
        front = [g.as_point() for g in self.pareto_front]
        return {
            "parameters": scatter(
                [g.as_point() for g in self._measured_groups()], front, "trainable parameters", "validation accuracy"
            ),
            "curves": line_chart(self.curves, "epoch", "validation accuracy"),
        }


def group_runs(runs: Sequence[Run]) -> ComparisonReport:
    """Read the runs and group those whose recipes differ only in the seed."""
    rows = compare(runs).runs
    grouped: dict[str, list[int]] = {}
    recipes = [_without_seed(run.recipe) for run in runs]
    for index, recipe in enumerate(recipes):
        grouped.setdefault(recipe.dumps(), []).append(index)
    members = list(grouped.values())
    firsts = [recipes[indices[0]] for indices in members]
    different = tuple(_condense_differences(firsts))
    labels = _labels(firsts, different)
    groups = tuple(
        _build_group(number, labels[number - 1], recipe, [rows[i] for i in indices])
        for number, (recipe, indices) in enumerate(zip(firsts, members, strict=True), 1)
    )
    lines = [tuple(_accuracy_by_epoch(runs[i]) for i in indices) for indices in members]
    drawn = tuple(Curve(g.number, g.label, line) for g, line in zip(groups, lines, strict=True))
    return ComparisonReport(groups, different, drawn)


def _condense_differences(recipes: Sequence[Recipe]) -> list[RecipeDifference]:
    """Return the differences, one row for an attachment that some recipes lack."""
    names = dict.fromkeys(a.name for recipe in recipes for a in recipe.attachments)
    lines = {
        name: tuple(next((format_spec(a) for a in r.attachments if a.name == name), None) for r in recipes)
        for name in names
    }
    partial = {name: values for name, values in lines.items() if None in values}
    kept = [
        d for d in recipe_differences(recipes) if not any(d.key.startswith(f"attachments.{name}.") for name in partial)
    ]
    return [*(RecipeDifference(f"attachments.{name}", values) for name, values in partial.items()), *kept]


def _without_seed(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": 0})})


def _build_group(number: int, label: str, recipe: Recipe, rows: Sequence[RunSummary]) -> SeedGroup:
    done = [row for row in rows if row.state == "completed"]
    accuracies = [row.accuracy for row in done if row.accuracy is not None]
    times = [row.seconds for row in done if row.seconds is not None]
    return SeedGroup(
        number=number,
        label=label,
        attachments=", ".join(format_spec(a) for a in recipe.attachments if a.enabled) or HEAD_ALONE,
        runs=tuple(rows),
        num_completed=len(done),
        parameters=next((row.trainable_parameters for row in rows if row.trainable_parameters), None),
        accuracy=statistics.fmean(accuracies) if accuracies else None,
        accuracy_halfwidth=confidence_halfwidth(accuracies),
        seconds=statistics.fmean(times) if times else None,
        adapter_bytes=next((row.adapter_bytes for row in done if row.adapter_bytes), None),
        peak_memory_bytes=max((row.peak_memory_bytes for row in rows if row.peak_memory_bytes), default=None),
    )


def confidence_halfwidth(values: Sequence[float]) -> float | None:
    """Return half of the 95 % confidence interval of the mean by Student's t.

    None for fewer than two values.
    """
    if len(values) < 2:
        return None
    freedom = len(values) - 1
    student = _STUDENT_T_975[freedom - 1] if freedom <= len(_STUDENT_T_975) else 1.96 + 2.5 / freedom
    return student * statistics.stdev(values) / len(values) ** 0.5


def _labels(recipes: Sequence[Recipe], different: Sequence[RecipeDifference]) -> list[str]:
    """Return each recipe's methods, with other values if the methods are not unique."""
    labels = [
        " + ".join(_attachment_label(a) for a in recipe.attachments if a.enabled) or HEAD_ALONE for recipe in recipes
    ]
    others = [d for d in different if not d.key.startswith("attachments.")]
    unique = [_label(label, others, i) for i, label in enumerate(labels)]
    if len(set(unique)) == len(unique):
        return unique
    return [_label(label, different, i) for i, label in enumerate(labels)]


def _label(label: str, different: Sequence[RecipeDifference], index: int) -> str:
    values = [(d.key.rpartition(".")[2], d.values[index]) for d in different]
    return ", ".join((label, *(f"{key} {value}" for key, value in values if value is not None)))


def _attachment_label(attachment: Attachment) -> str:
    """Return ``LoRA r8``, or the method's name alone if it is not installed."""
    from studio.peft.contract import METHODS

    try:
        method = METHODS.get(attachment.method)
        return f"{method.label} {method.info.short_text(method.configure(attachment.config))}".strip()
    except StudioError:
        return attachment.method


def _accuracy_by_epoch(run: Run) -> tuple[tuple[float, float], ...]:
    """Return validation accuracy by epoch; a repeated epoch counts by its last one."""
    by_epoch = {float(e.epoch): e.accuracy for e in run.events() if isinstance(e, events.Evaluation)}
    return tuple(sorted(by_epoch.items()))
