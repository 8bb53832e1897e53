"""Training of recipes: checks before anything is written, and the run's result."""

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
from studio.core.formatting import program_command
from studio.core.recipe import Recipe
from studio.core.run import Run, new_run_path
from studio.data.images.file_index import ProgressCallback, no_progress

if TYPE_CHECKING:
    from studio.core.control import TrainControl
    from studio.training.distributed.context import DistributedContext

E = TypeVar("E", bound=events.Event)


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a run: ``reason`` is "completed" or "stopped".

    Accuracies are in [0, 1]. ``waited`` are those of its ``seconds`` that were spent waiting for images.
    """

    run: str
    reason: str
    best_accuracy: float
    best_epoch: int
    seconds: float
    waited: float
    metrics: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def create_run_from_file(
    path: Path, out: Path | None = None, assignments: Iterable[str] = (), progress: ProgressCallback | None = None
) -> Run:
    """Create a run of a recipe file; ``progress`` is called while its images are read."""
    return create_run(load_recipe(path, assignments), out, progress)


def load_recipe(path: Path, assignments: Iterable[str] = ()) -> Recipe:
    """Read a recipe file, apply ``key=value`` assignments and make paths absolute."""
    return apply_overrides(Recipe.load(path), assignments).with_absolute_paths(path.absolute().parent)


def create_run(recipe: Recipe, out: Path | None = None, progress: ProgressCallback | None = None) -> Run:
    """Check the recipe, then create the run's folder; StudioError if it cannot run."""
    check_trainable(recipe, progress)
    return Run.create(recipe, out or new_run_path(paths.runs_dir(), recipe))


def check_trainable(recipe: Recipe, progress: ProgressCallback | None = None) -> None:
    """Raise StudioError with the first reason why the recipe cannot be trained."""
    from studio.app.inspection import Inspector
    from studio.data.dataset.dataset import build_index
    from studio.peft.check import check_recipe

    images = build_index(recipe.data, progress or no_progress)
    problems = check_recipe(recipe, Inspector(recipe.backbone, len(images.classes)).layers)
    if problems:
        raise StudioError("cannot-attach", problems[0].text)


def open_for_resume(path: Path, out: Path | None = None, assignments: Sequence[str] = ()) -> Run:
    """Return the run to resume: ``out`` if it is given, else ``path``.

    Its recipe stays the same except for ``training.epochs``, so that a complete run can get more.
    """
    folder = out or path
    if folder.is_file():
        raise StudioError("not-a-run", "{path} is a recipe, not a run. Resume a run: train RUN --resume.", path=folder)
    run = Run.open(folder)
    if any(parse_assignment(text)[0] != "training.epochs" for text in assignments):
        raise StudioError(
            "fixed-recipe",
            "A resumed run keeps its recipe; only training.epochs can be set. Start a new run for other changes.",
        )
    if assignments:
        apply_overrides(run.recipe, assignments).save(run.path / "recipe.toml")
    return run


def train(
    run: Run, control: "TrainControl", resume: bool = False, team: "DistributedContext | None" = None
) -> Iterator[events.Event]:
    """Train and yield each event; a new run that fails at once is removed.

    That is before its first step. A known estimate for its recipe (:mod:`studio.app.estimate_cache`) becomes the run's
    first event.
    """
    from studio.training import loop

    is_main = team is None or team.is_main_process
    estimate = estimate_cache.cached_estimate(run.recipe) if is_main and not resume else None
    if estimate is not None:
        run.append_event(estimate)
    try:
        yield from loop.train(run, control, resume, team)
    except StudioError:
        if is_main and not resume and not has_steps(run):
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def has_steps(run: Run) -> bool:
    """Return whether the run has made a step."""
    return any(isinstance(event, events.Step) for event in run.events())


def read_result(run: Run) -> TrainingResult:
    """Read a run's result from its events; StudioError if it failed or has none yet."""
    history = run.events()
    finished, evaluated = last_event(history, events.Finished), last_event(history, events.Evaluation)
    failed = last_event(history, events.Error)
    if failed is not None and history[-1] is failed:
        raise StudioError(failed.code or "training-failed", failed.text)
    if finished is None:
        raise StudioError(
            "not-finished",
            "The run {path} has not finished. Resume it: {command} train {path} --resume",
            path=run.path,
            command=program_command(),
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


def last_event(history: Sequence[events.Event], kind: type[E]) -> E | None:
    """Return the last event of a kind; None if there is none."""
    return next((event for event in reversed(history) if isinstance(event, kind)), None)
