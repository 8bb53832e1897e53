"""Training a recipe: what can be wrong is found before anything is written; what came out is read from the run."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from studio.app import estimate_cache
from studio.app.overrides import apply_overrides
from studio.core import events, paths
from studio.core.attachment_spec import parse_assignment
from studio.core.errors import StudioError
from studio.core.formatting import format_duration, program_command
from studio.core.recipe import Recipe
from studio.core.run import Run, new_run_path
from studio.data.images.file_index import ProgressCallback, no_progress

if TYPE_CHECKING:
    from studio.core.control import TrainControl
    from studio.training.distributed.context import DistributedContext

E = TypeVar("E", bound=events.Event)


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run came to. ``reason`` is "completed" or "stopped"; accuracies are in [0, 1].

    Of its ``seconds`` so many were ``waited`` for images.
    """

    run: str
    reason: str
    best_accuracy: float
    best_epoch: int
    seconds: float
    waited: float
    metrics: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def as_text(self) -> str:
        """Two lines for a person."""
        best = f"best validation accuracy {self.best_accuracy:.1%} in epoch {self.best_epoch}"
        waiting = f", {self.waited / max(self.seconds, 1e-9):.0%} of it waiting for images"
        return f"{best}, {format_duration(self.seconds)}{waiting}\n{self.run}"


def create_run_from_file(
    path: Path, out: Path | None = None, assignments: Iterable[str] = (), progress: ProgressCallback | None = None
) -> Run:
    """Make a run of a recipe file; ``progress`` is told how far the look at its images is, where that takes long."""
    return create_run(load_recipe(path, assignments), out, progress)


def load_recipe(path: Path, assignments: Iterable[str] = ()) -> Recipe:
    """Read a recipe file, apply ``key=value`` assignments, and make its paths absolute."""
    return apply_overrides(Recipe.load(path), assignments).with_absolute_paths(path.absolute().parent)


def create_run(recipe: Recipe, out: Path | None = None, progress: ProgressCallback | None = None) -> Run:
    """Check the recipe against its backbone and images, then make the run's folder; StudioError if it cannot run."""
    check_trainable(recipe, progress)
    return Run.create(recipe, out or new_run_path(paths.runs_dir(), recipe))


def check_trainable(recipe: Recipe, progress: ProgressCallback | None = None) -> None:
    """Raise StudioError with the first thing that would keep the recipe from being trained."""
    from studio.app.inspection import Inspector
    from studio.data.dataset.dataset import build_index
    from studio.peft.check import check_recipe

    images = build_index(recipe.data, progress or no_progress)
    problems = check_recipe(recipe, Inspector(recipe.backbone, len(images.classes)).layers)
    if problems:
        raise StudioError(problems[0].text)


def open_for_resume(path: Path, out: Path | None = None, assignments: Sequence[str] = ()) -> Run:
    """The run to go on with: ``out`` where it is named, else ``path`` itself.

    Its recipe stays as it is but for ``training.epochs``, so that a complete run can be given more.
    """
    folder = out or path
    if folder.is_file():
        raise StudioError(f"{folder} is a recipe; say which run to go on with: train RUN --resume.")
    run = Run.open(folder)
    if any(parse_assignment(text)[0] != "training.epochs" for text in assignments):
        raise StudioError(
            "A resumed run keeps its recipe: only training.epochs can be set; start a new run for the rest."
        )
    if assignments:
        apply_overrides(run.recipe, assignments).save(run.path / "recipe.toml")
    return run


def train(
    run: Run, control: "TrainControl", resume: bool = False, team: "DistributedContext | None" = None
) -> Iterator[events.Event]:
    """Train, yielding each event; a new run that fails before its first step leaves nothing behind.

    What was measured for its recipe (:mod:`studio.app.estimate_cache`) becomes the run's first event.
    """
    from studio.training import loop

    leads = team is None or team.is_main_process
    expected = estimate_cache.cached_estimate(run.recipe) if leads and not resume else None
    if expected is not None:
        run.append_event(expected)
    try:
        yield from loop.train(run, control, resume, team)
    except StudioError:
        if leads and not resume and not has_steps(run):
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def has_steps(run: Run) -> bool:
    """Whether the run has made a step."""
    return any(isinstance(event, events.Step) for event in run.events())


def read_result(run: Run) -> TrainingResult:
    """Read a run's result from its events; StudioError where it failed or has none yet."""
    happened = run.events()
    finished, evaluated = last_event(happened, events.Finished), last_event(happened, events.Evaluation)
    failed = last_event(happened, events.Error)
    if failed is not None and happened[-1] is failed:
        raise StudioError(failed.text)
    if finished is None:
        raise StudioError(
            f"The run {run.path} has not finished; go on with: {program_command()} train {run.path} --resume"
        )
    metrics = asdict(evaluated) if evaluated else {}
    return TrainingResult(
        run=str(run.path),
        reason=finished.reason,
        best_accuracy=finished.best_accuracy,
        best_epoch=finished.best_epoch,
        seconds=finished.seconds,
        waited=finished.waited,
        metrics=metrics,
    )


def last_event(happened: Sequence[events.Event], kind: type[E]) -> E | None:
    """The last event of a kind."""
    return next((event for event in reversed(happened) if isinstance(event, kind)), None)
