"""Sweeps: many variants of one recipe, trained one after the other, each a run in a folder of its own.

A sweep is a folder with ``sweep.json``, which holds every point's recipe, so it goes on the same way next year. A run
that is complete is not trained again; one that was interrupted goes on.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from studio.app import training
from studio.app.comparison.comparison import Comparison, compare
from studio.app.sweeps.grid import SweepPoint, expand_grid
from studio.core import events
from studio.core.errors import StudioError
from studio.core.files import write_json
from studio.core.formatting import program_command
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
        """Check every point, then make the folder; the same sweep again is opened to go on with.

        Raises StudioError, with nothing written, where a point cannot be trained or something else is in the folder.
        """
        if is_sweep(folder):
            found = cls.open(folder)
            if found.points != tuple(points):
                raise StudioError(f"{folder} holds another sweep; name another folder, or go on with: sweep {folder}")
            return found
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StudioError(f"{folder} already exists and is not empty; name another folder.")
        _check_points(points)
        return cls._write(folder, points)

    @classmethod
    def _write(cls, folder: Path, points: Sequence[SweepPoint]) -> Self:
        rows = [{"name": p.name, "recipe": p.recipe.model_dump(mode="json", by_alias=True)} for p in points]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / FILE, {"schema": 1, "points": rows})
        except OSError as error:
            raise StudioError(f"The sweep cannot be written to {folder}: {error.strerror}.") from error
        return cls(folder, tuple(points))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """A sweep that is there already; StudioError where ``sweep.json`` cannot be read."""
        path = folder / FILE
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["points"]
            points = tuple(SweepPoint(str(r["name"]), Recipe.from_mapping(r["recipe"], str(path))) for r in rows)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StudioError(f"{path} is not the description of a sweep, or it is damaged.") from error
        stray = next((p.name for p in points if Path(p.name).name != p.name), None)
        if stray is not None:
            raise StudioError(f"{path} names a run outside of its folder: {stray}.")
        return cls(folder, points)

    def runs(self) -> list[Run]:
        """The runs that have been made so far, in the order of the points."""
        made = (Run(self.folder / point.name) for point in self.points)
        return [run for run in made if (run.path / "recipe.toml").is_file()]

    @property
    def complete(self) -> bool:
        """Whether every point has been trained to its end."""
        return all(is_complete(Run(self.folder / point.name)) for point in self.points)

    def comparison(self) -> Comparison:
        """What has come out so far."""
        return compare(self.runs())


def open_or_create_sweep(
    path: Path, out: Path | None = None, axes: Sequence[str] = (), preset: str = "", seeds: int = 1
) -> Sweep:
    """Make a sweep of a recipe file in ``out``, or go on with the one in the folder ``path``."""
    if is_sweep(path):
        if out or axes or preset or seeds > 1:
            raise StudioError(f"{path} is a sweep with points of its own; go on with: {program_command()} sweep {path}")
        return Sweep.open(path)
    if out is None:
        raise StudioError("Say where the sweep is to be kept: --out FOLDER.")
    return Sweep.create(out, expand_grid(training.load_recipe(path), axes, preset, seeds))


def is_sweep(folder: Path) -> bool:
    """Whether the folder holds a sweep."""
    return (folder / FILE).is_file()


def run_sweep(
    sweep: Sweep, control: "TrainControl", show_events: ShowEvents, print_line: Callable[[str], None]
) -> None:
    """Train every point that is not complete, until ``control`` stops it.

    A point that fails is told to ``print_line`` and the others go on. ``show_events`` is given a label and the events of each run.
    """
    for number, point in enumerate(sweep.points, 1):
        if control.stopping:
            return
        label = f"{number} of {len(sweep.points)}, {point.name}"
        if is_complete(run := Run(sweep.folder / point.name)):
            print_line(f"{label}: complete already")
            continue
        try:
            show_events(label, training.train(_open_or_create_run(run, point), control, resume=True))
        except StudioError as error:
            print_line(f"{label}: {error}")


def is_complete(run: Run) -> bool:
    """Whether the last thing that happened in the run is that it was completed."""
    happened = run.events()
    return bool(happened) and isinstance(end := happened[-1], events.Finished) and end.reason == "completed"


def _open_or_create_run(run: Run, point: SweepPoint) -> Run:
    return run if (run.path / "recipe.toml").is_file() else Run.create(point.recipe, run.path)


def _check_points(points: Sequence[SweepPoint]) -> None:
    """Raise StudioError naming the first point that cannot be trained; backbones and folders are looked at once."""
    from studio.app.inspection import Inspector
    from studio.data.dataset.dataset import build_index
    from studio.peft.check import check_recipe

    look, scan = cache(Inspector), cache(build_index)
    for point in points:
        classes = len(scan(point.recipe.data).classes)
        problems = check_recipe(point.recipe, look(point.recipe.backbone, classes).layers)
        if problems:
            raise StudioError(f"{point.name}: {problems[0].text}")
