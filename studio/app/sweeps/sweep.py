"""Sweeps: variants of one recipe, trained one after the other.

A sweep is a folder with ``sweep.json``, which contains every point's recipe, and a run for each point. A complete run
is not trained again; an interrupted one is resumed.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from studio.app import training
from studio.app.comparison.comparison import Comparison, compare
from studio.app.comparison.comparison_view import RunOption
from studio.app.sweeps.grid import SweepPoint, expand_grid
from studio.core import events
from studio.core.errors import StudioError, write_error
from studio.core.files import write_json
from studio.core.formatting import program_command
from studio.core.messages import N_
from studio.core.recipe import Recipe
from studio.core.run import Run

if TYPE_CHECKING:
    from studio.core.control import TrainControl

FILE = "sweep.json"
ShowEvents = Callable[[str, Iterable[events.Event]], None]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep on disk."""

    folder: Path
    points: tuple[SweepPoint, ...]

    @classmethod
    def create(cls, folder: Path, points: Sequence[SweepPoint]) -> Self:
        """Check every point, then create the folder; the same sweep is opened again.

        Raises StudioError, with nothing written, if a point cannot be trained or the folder contains something else.
        """
        if is_sweep(folder):
            sweep = cls.open(folder)
            if sweep.points != tuple(points):
                raise StudioError(
                    "folder-not-empty",
                    "{path} contains another sweep. Choose another folder, or resume it: sweep {path}",
                    path=folder,
                )
            return sweep
        check_empty(folder)
        _check_points(points)
        return cls._write(folder, points)

    @classmethod
    def _write(cls, folder: Path, points: Sequence[SweepPoint]) -> Self:
        rows = [{"name": p.name, "recipe": p.recipe.model_dump(mode="json", by_alias=True)} for p in points]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / FILE, {"schema": 1, "points": rows})
        except OSError as error:
            raise write_error(N_("the sweep"), folder, error) from error
        return cls(folder, tuple(points))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open an existing sweep; StudioError if ``sweep.json`` cannot be read."""
        path = folder / FILE
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["points"]
            points = tuple(SweepPoint(str(r["name"]), Recipe.from_mapping(r["recipe"], str(path))) for r in rows)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StudioError(
                "unreadable-file", "{path} does not describe a sweep, or it is damaged.", path=path
            ) from error
        outside = next((p.name for p in points if Path(p.name).name != p.name), None)
        if outside is not None:
            raise StudioError("bad-value", "{path} names a run outside its folder: {name}.", path=path, name=outside)
        return cls(folder, points)

    def runs(self) -> list[Run]:
        """Return the runs created so far, in the order of the points."""
        runs = (Run(self.folder / point.name) for point in self.points)
        return [run for run in runs if (run.path / "recipe.toml").is_file()]

    @property
    def complete(self) -> bool:
        """Whether every point is complete."""
        return all(is_complete(Run(self.folder / point.name)) for point in self.points)

    def comparison(self) -> Comparison:
        """Return the comparison of the runs created so far."""
        return compare(self.runs())


def open_or_create_sweep(
    path: Path, out: Path | None = None, axes: Sequence[str] = (), preset: str = "", seeds: int = 1
) -> Sweep:
    """Create a sweep of a recipe file in ``out``, or open the one in ``path``."""
    if is_sweep(path):
        if out or axes or preset or seeds > 1:
            raise StudioError(
                "fixed-recipe",
                "{path} is a sweep with its own points. Resume it: {command} sweep {path}",
                path=path,
                command=program_command(),
            )
        return Sweep.open(path)
    if out is None:
        raise StudioError("missing-option", "Missing output folder of the sweep. Add --out FOLDER.")
    return Sweep.create(out, expand_grid(training.load_recipe(path), axes, preset, seeds))


def is_sweep(folder: Path) -> bool:
    """Return whether the folder contains a sweep."""
    return (folder / FILE).is_file()


def run_sweep(
    sweep: Sweep, control: "TrainControl", show_events: ShowEvents, print_line: Callable[[str], None]
) -> None:
    """Train every incomplete point, until ``control`` stops it.

    An error of a point is passed to ``print_line``, and the sweep continues. ``show_events`` gets a label and the
    events of each run.
    """
    for number, point in enumerate(sweep.points, 1):
        if control.stopping:
            return
        label = f"{number} of {len(sweep.points)}, {point.name}"
        if is_complete(run := Run(sweep.folder / point.name)):
            print_line(f"{label}: already complete")
            continue
        try:
            show_events(label, training.train(_open_or_create_run(run, point), control, resume=True))
        except StudioError as error:
            print_line(f"{label}: {error}")


def is_complete(run: Run) -> bool:
    """Return whether the run's last event is its completion."""
    history = run.events()
    return bool(history) and isinstance(end := history[-1], events.Finished) and end.reason == "completed"


def _open_or_create_run(run: Run, point: SweepPoint) -> Run:
    return run if (run.path / "recipe.toml").is_file() else Run.create(point.recipe, run.path)


def _check_points(points: Sequence[SweepPoint]) -> None:
    """Raise StudioError that names the first point that cannot be trained."""
    from studio.app.inspection import Inspector
    from studio.data.dataset.dataset import build_index
    from studio.peft.check import check_recipe

    inspect, index = cache(Inspector), cache(build_index)
    for point in points:
        classes = len(index(point.recipe.data).classes)
        problems = check_recipe(point.recipe, inspect(point.recipe.backbone, classes).layers)
        if problems:
            raise StudioError("cannot-attach", "{point}: {reason}", point=point.name, reason=problems[0].text)


def check_empty(folder: Path) -> None:
    """Raise StudioError if ``folder`` exists and is not an empty folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StudioError(
            "folder-not-empty", "{path} already exists and is not empty. Choose another folder.", path=folder
        )


def sweep_run_options(folder: Path) -> tuple[RunOption, ...]:
    """Return the runs that a sweep has created; StudioError if the folder has none."""
    rows = compare(Sweep.open(folder).runs()).runs
    return tuple(
        RunOption(Path(row.run), f"{folder.name}/{Path(row.run).name}", row.attachments, row.state, row.accuracy)
        for row in rows
    )
