"""Runs side by side: what was different in their recipes, and what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from studio.app.training import last
from studio.core import events
from studio.core.attachment_spec import format_spec
from studio.core.formatting import duration, table
from studio.core.recipe import Recipe
from studio.core.run import Run


@dataclass(frozen=True, slots=True)
class Row:
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
class Difference:
    """A key of the recipe that is not the same in all runs; one value for each run, None where it has none."""

    key: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rows in the order asked for, and the recipes' differences."""

    runs: tuple[Row, ...]
    differences: tuple[Difference, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def as_text(self) -> str:
        """A table of the results, then one of the recipes' differences."""
        results = table(
            ("run", "attachments", "trainable", "accuracy", "time", "state"), map(_cells, self.runs), (2, 3, 4)
        )
        if not self.differences:
            return results
        names = ("recipe", *(Path(row.run).name for row in self.runs))
        return f"{results}\n\n{table(names, ((d.key, *map(str, d.values)) for d in self.differences))}"


def _cells(row: Row) -> tuple[str, ...]:
    share = f"{row.trainable_parameters:,}" if row.trainable_parameters is not None else "?"
    accuracy = f"{row.accuracy:.1%}" if row.accuracy is not None else "?"
    return (
        Path(row.run).name,
        row.attachments,
        share,
        accuracy,
        duration(row.seconds) if row.seconds else "?",
        row.state,
    )


def compare(runs: Sequence[Run]) -> Comparison:
    """Read the runs' recipes and events."""
    recipes = [run.recipe for run in runs]
    rows = tuple(_row(run, recipe) for run, recipe in zip(runs, recipes, strict=True))
    return Comparison(rows, tuple(differences(recipes)))


def differences(recipes: Sequence[Recipe]) -> list[Difference]:
    """The recipes' keys whose values differ, in the order of the recipe."""
    flat = [dict(_flatten(recipe.model_dump(by_alias=True))) for recipe in recipes]
    keys = dict.fromkeys(key for one in flat for key in one)
    values = {key: tuple(one.get(key) for one in flat) for key in keys}
    return [Difference(key, row) for key, row in values.items() if any(v != row[0] for v in row)]


def _flatten(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        children = [(str(key), item) for key, item in value.items()]
    elif path == "attachments":
        children = [(item["name"], {k: v for k, v in item.items() if k != "name"}) for item in value]
    else:
        return [(path, list(value) if isinstance(value, tuple) else value)]
    return [pair for key, item in children for pair in _flatten(item, f"{path}.{key}" if path else key)]


def _row(run: Run, recipe: Recipe) -> Row:
    happened = run.events()
    started = last(happened, events.Started)
    best = _best(happened)
    finished, used = last(happened, events.Finished), last(happened, events.ResourceUsage)
    return Row(
        run=str(run.path),
        backbone=recipe.backbone.name,
        attachments=", ".join(format_spec(a) for a in recipe.attachments if a.enabled) or "head alone",
        trainable_parameters=started.trainable_parameters if started else None,
        total_parameters=started.total_parameters if started else None,
        accuracy=best.accuracy if best else None,
        loss=best.loss if best else None,
        best_epoch=best.epoch if best else None,
        seconds=finished.seconds if finished else None,
        adapter_bytes=_size(run.path / "adapter.safetensors"),
        state=_state(happened),
        peak_memory_bytes=used.peak_memory_bytes if used else None,
    )


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None


def _best(happened: Sequence[events.Event]) -> events.Evaluation | None:
    return last([e for e in happened if isinstance(e, events.Evaluation) and e.best], events.Evaluation)


def _state(happened: Sequence[events.Event]) -> str:
    ends = [e for e in happened if isinstance(e, events.Started | events.Error | events.Finished)]
    if not ends:
        return "not started"
    last = ends[-1]
    if isinstance(last, events.Finished):
        return last.reason
    return "failed" if isinstance(last, events.Error) else "unfinished"
