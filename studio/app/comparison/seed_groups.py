"""What a set of runs says, seeds taken together: accuracy with its confidence interval, cost, and the best of them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from studio.app.comparison.comparison import Difference, Row, compare, differences
from studio.app.comparison.svg_charts import Curve, Dot, curves, dots
from studio.core import events
from studio.core.attachment_spec import format_spec
from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Recipe
from studio.core.run import Run

# fmt: off
_STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)
# fmt: on
"""Student's t at 97.5 % for 1, 2, … degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Group:
    """Runs whose recipes differ in nothing but the seed. Means are over those that are complete, None without any.

    ``interval`` is half of the 95 % confidence interval of the mean accuracy, None for fewer than two runs.
    """

    number: int
    label: str
    attachments: str
    runs: tuple[Row, ...]
    complete: int
    parameters: int | None
    accuracy: float | None
    interval: float | None
    seconds: float | None
    adapter_bytes: int | None
    memory_bytes: int | None = None

    def as_dot(self) -> Dot:
        """The group in the plane of accuracy and parameters; it must have both."""
        assert self.parameters is not None
        assert self.accuracy is not None
        return Dot(self.number, self.label, self.parameters, self.accuracy, self.interval or 0.0)


@dataclass(frozen=True, slots=True)
class Report:
    """The groups, what their recipes differ in (one value for each group), and the accuracy of each run by epoch."""

    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]
    curves: tuple[Curve, ...]

    @property
    def front(self) -> tuple[Group, ...]:
        """The groups that no other beats in accuracy with as few parameters, from the smallest to the largest."""
        best: list[Group] = []
        for group in sorted(self._measured(), key=lambda g: (g.parameters or 0, -(g.accuracy or 0))):
            if not best or (group.accuracy or 0) > (best[-1].accuracy or 0):
                best.append(group)
        return tuple(best)

    def _measured(self) -> list[Group]:
        return [g for g in self.groups if g.accuracy is not None and g.parameters]

    def charts(self) -> dict[str, str]:
        """SVG by name; empty where there is nothing to draw."""
        front = [g.as_dot() for g in self.front]
        return {
            "parameters": dots(
                [g.as_dot() for g in self._measured()], front, "trainable parameters", "validation accuracy"
            ),
            "curves": curves(self.curves, "epoch", "validation accuracy"),
        }


def gather(runs: Sequence[Run]) -> Report:
    """Read the runs and take those together whose recipes differ in nothing but the seed."""
    rows = compare(runs).runs
    together: dict[str, list[int]] = {}
    recipes = [_without_seed(run.recipe) for run in runs]
    for index, recipe in enumerate(recipes):
        together.setdefault(recipe.dumps(), []).append(index)
    members = list(together.values())
    firsts = [recipes[indices[0]] for indices in members]
    different = tuple(_condensed(firsts))
    labels = _labels(firsts, different)
    groups = tuple(
        _group(number, labels[number - 1], recipe, [rows[i] for i in indices])
        for number, (recipe, indices) in enumerate(zip(firsts, members, strict=True), 1)
    )
    lines = [tuple(_line(runs[i]) for i in indices) for indices in members]
    drawn = tuple(Curve(g.number, g.label, line) for g, line in zip(groups, lines, strict=True))
    return Report(groups, different, drawn)


def _condensed(recipes: Sequence[Recipe]) -> list[Difference]:
    """The differences, with one line for an attachment that not every recipe has."""
    names = dict.fromkeys(a.name for recipe in recipes for a in recipe.attachments)
    lines = {
        name: tuple(next((format_spec(a) for a in r.attachments if a.name == name), None) for r in recipes)
        for name in names
    }
    partial = {name: values for name, values in lines.items() if None in values}
    kept = [d for d in differences(recipes) if not any(d.key.startswith(f"attachments.{name}.") for name in partial)]
    return [*(Difference(f"attachments.{name}", values) for name, values in partial.items()), *kept]


def _without_seed(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": 0})})


def _group(number: int, label: str, recipe: Recipe, rows: Sequence[Row]) -> Group:
    done = [row for row in rows if row.state == "completed"]
    accuracies = [row.accuracy for row in done if row.accuracy is not None]
    times = [row.seconds for row in done if row.seconds is not None]
    return Group(
        number=number,
        label=label,
        attachments=", ".join(format_spec(a) for a in recipe.attachments if a.enabled) or "head alone",
        runs=tuple(rows),
        complete=len(done),
        parameters=next((row.trainable_parameters for row in rows if row.trainable_parameters), None),
        accuracy=statistics.fmean(accuracies) if accuracies else None,
        interval=half_interval(accuracies),
        seconds=statistics.fmean(times) if times else None,
        adapter_bytes=next((row.adapter_bytes for row in done if row.adapter_bytes), None),
        memory_bytes=max((row.peak_memory_bytes for row in rows if row.peak_memory_bytes), default=None),
    )


def half_interval(values: Sequence[float]) -> float | None:
    """Half of the 95 % confidence interval of the mean, after Student; None for fewer than two values."""
    if len(values) < 2:
        return None
    freedom = len(values) - 1
    student = _STUDENT[freedom - 1] if freedom <= len(_STUDENT) else 1.96 + 2.5 / freedom
    return student * statistics.stdev(values) / len(values) ** 0.5


def _labels(recipes: Sequence[Recipe], different: Sequence[Difference]) -> list[str]:
    """The methods of each recipe, and its other values that the recipes differ in where methods do not tell enough."""
    labels = [" + ".join(_words(a) for a in recipe.attachments if a.enabled) or "head alone" for recipe in recipes]
    others = [d for d in different if not d.key.startswith("attachments.")]
    told = [_label(label, others, i) for i, label in enumerate(labels)]
    if len(set(told)) == len(told):
        return told
    return [_label(label, different, i) for i, label in enumerate(labels)]


def _label(label: str, different: Sequence[Difference], index: int) -> str:
    values = [(d.key.rpartition(".")[2], d.values[index]) for d in different]
    return ", ".join((label, *(f"{key} {value}" for key, value in values if value is not None)))


def _words(attachment: Attachment) -> str:
    """``LoRA r8``; the method's name alone where it is not installed."""
    from studio.peft.contract import METHODS

    try:
        method = METHODS.get(attachment.method)
        return f"{method.label} {method.badge(method.configure(attachment.config))}".strip()
    except StudioError:
        return attachment.method


def _line(run: Run) -> tuple[tuple[float, float], ...]:
    """Validation accuracy by epoch; a resumed run says the last word on an epoch."""
    found = {float(e.epoch): e.accuracy for e in run.events() if isinstance(e, events.Evaluation)}
    return tuple(sorted(found.items()))
