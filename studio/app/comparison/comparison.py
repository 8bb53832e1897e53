"""Runs side by side: the differences of their recipes, and their results."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from studio.app.training import last_event
from studio.core import events
from studio.core.attachment_spec import format_spec
from studio.core.messages import N_
from studio.core.recipe import Recipe
from studio.core.run import ADAPTER_FILE, Run

HEAD_ALONE = N_("head alone")
"""The attachments of a recipe without any."""
_STATES = {
    "completed": N_("completed"),
    "stopped": N_("stopped"),
    "failed": N_("failed"),
    "unfinished": N_("unfinished"),
    "not started": N_("not started"),
}


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run and its results; values that it has not reached are None."""

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
    """A recipe key that differs, with one value per run, None if it has none."""

    key: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The runs in the order asked for, and the differences of their recipes."""

    runs: tuple[RunSummary, ...]
    differences: tuple[RecipeDifference, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def compare(runs: Sequence[Run]) -> Comparison:
    """Read the recipes and events of ``runs``."""
    recipes = [run.recipe for run in runs]
    rows = tuple(_summarize_run(run, recipe) for run, recipe in zip(runs, recipes, strict=True))
    return Comparison(rows, tuple(recipe_differences(recipes)))


def recipe_differences(recipes: Sequence[Recipe]) -> list[RecipeDifference]:
    """Return the keys whose values differ, in the order of the recipe."""
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
    history = run.events()
    started = last_event(history, events.Started)
    best = _best_evaluation(history)
    finished, used = last_event(history, events.Finished), last_event(history, events.ResourceUsage)
    return RunSummary(
        run=str(run.path),
        backbone=recipe.backbone.name,
        attachments=", ".join(format_spec(a) for a in recipe.attachments if a.enabled) or HEAD_ALONE,
        trainable_parameters=started.trainable_parameters if started else None,
        total_parameters=started.total_parameters if started else None,
        accuracy=best.accuracy if best else None,
        loss=best.loss if best else None,
        best_epoch=best.epoch if best else None,
        seconds=finished.seconds if finished else None,
        adapter_bytes=_file_size(run.path / ADAPTER_FILE),
        state=_run_state(history),
        peak_memory_bytes=used.peak_memory_bytes if used else None,
    )


def _file_size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None


def _best_evaluation(history: Sequence[events.Event]) -> events.Evaluation | None:
    return last_event([e for e in history if isinstance(e, events.Evaluation) and e.best], events.Evaluation)


def _run_state(history: Sequence[events.Event]) -> str:
    ends = [e for e in history if isinstance(e, events.Started | events.Error | events.Finished)]
    if not ends:
        return _STATES["not started"]
    last = ends[-1]
    if isinstance(last, events.Finished):
        return _STATES.get(last.reason, last.reason)
    return _STATES["failed" if isinstance(last, events.Error) else "unfinished"]
