"""Runs side by side: what was different in their recipes, and what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from studio.app.training import last_event
from studio.core import events
from studio.core.attachment_spec import format_spec
from studio.core.formatting import format_duration, format_table
from studio.core.recipe import Recipe
from studio.core.run import ADAPTER_FILE, Run


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run: what it was and what came out. Figures that the run has not reached are None."""

    run: str
    backbone: str
    attachments: str
    trainable_parameters: int | None
    total_parameters: int | None
    accuracy: float | None
    loss: float | None
    best_epoch: int | None
    seconds: float | None
    adapter_bytes: int | None
    state: str
    peak_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class RecipeDifference:
    """A key of the recipe that is not the same in all runs; one value for each run, None where it has none."""

    key: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rows in the order asked for, and the recipes' differences."""

    runs: tuple[RunSummary, ...]
    differences: tuple[RecipeDifference, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def as_text(self) -> str:
        """A table of the results, then one of the recipes' differences."""
        results = format_table(
            ("run", "attachments", "trainable", "accuracy", "time", "state"), map(_cells, self.runs), (2, 3, 4)
        )
        if not self.differences:
            return results
        names = ("recipe", *(Path(row.run).name for row in self.runs))
        return f"{results}\n\n{format_table(names, ((d.key, *map(str, d.values)) for d in self.differences))}"


def _cells(row: RunSummary) -> tuple[str, ...]:
    share = f"{row.trainable_parameters:,}" if row.trainable_parameters is not None else "?"
    accuracy = f"{row.accuracy:.1%}" if row.accuracy is not None else "?"
    return (
        Path(row.run).name,
        row.attachments,
        share,
        accuracy,
        format_duration(row.seconds) if row.seconds else "?",
        row.state,
    )


def compare(runs: Sequence[Run]) -> Comparison:
    """Read the runs' recipes and events."""
    recipes = [run.recipe for run in runs]
    rows = tuple(_summarize_run(run, recipe) for run, recipe in zip(runs, recipes, strict=True))
    return Comparison(rows, tuple(recipe_differences(recipes)))


def recipe_differences(recipes: Sequence[Recipe]) -> list[RecipeDifference]:
    """The recipes' keys whose values differ, in the order of the recipe."""
    flat = [dict(_flatten(recipe.model_dump(by_alias=True))) for recipe in recipes]
    keys = dict.fromkeys(key for one in flat for key in one)
    values = {key: tuple(one.get(key) for one in flat) for key in keys}
    return [RecipeDifference(key, row) for key, row in values.items() if any(v != row[0] for v in row)]


def _flatten(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        children = [(str(key), item) for key, item in value.items()]
    elif path == "attachments":
        children = [(item["name"], {k: v for k, v in item.items() if k != "name"}) for item in value]
    else:
        return [(path, list(value) if isinstance(value, tuple) else value)]
    return [pair for key, item in children for pair in _flatten(item, f"{path}.{key}" if path else key)]


def _summarize_run(run: Run, recipe: Recipe) -> RunSummary:
    happened = run.events()
    started = last_event(happened, events.Started)
    best = _best_evaluation(happened)
    finished, used = last_event(happened, events.Finished), last_event(happened, events.ResourceUsage)
    return RunSummary(
        run=str(run.path),
        backbone=recipe.backbone.name,
        attachments=", ".join(format_spec(a) for a in recipe.attachments if a.enabled) or "head alone",
        trainable_parameters=started.trainable_parameters if started else None,
        total_parameters=started.total_parameters if started else None,
        accuracy=best.accuracy if best else None,
        loss=best.loss if best else None,
        best_epoch=best.epoch if best else None,
        seconds=finished.seconds if finished else None,
        adapter_bytes=_file_size(run.path / ADAPTER_FILE),
        state=_run_state(happened),
        peak_memory_bytes=used.peak_memory_bytes if used else None,
    )


def _file_size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None


def _best_evaluation(happened: Sequence[events.Event]) -> events.Evaluation | None:
    return last_event([e for e in happened if isinstance(e, events.Evaluation) and e.best], events.Evaluation)


def _run_state(happened: Sequence[events.Event]) -> str:
    ends = [e for e in happened if isinstance(e, events.Started | events.Error | events.Finished)]
    if not ends:
        return "not started"
    last = ends[-1]
    if isinstance(last, events.Finished):
        return last.reason
    return "failed" if isinstance(last, events.Error) else "unfinished"
