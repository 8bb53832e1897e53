"""Training from the window: a run trains on a thread of its own, and the window reads its directory."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from studio.core import paths
from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.core.recipe import Recipe
from studio.core.run import Run, list_runs
from studio.ui.services.background import WorkerThread
from studio.ui.services.error_text import error_message

if TYPE_CHECKING:
    from studio.core.control import TrainControl

POLL_MS = 2000
"""Interval at which the runs folder is checked for changes by other programs."""
UNREADABLE_BACKBONE = "?"
"""The backbone of a run whose recipe cannot be read."""
MAX_SYNC_DESCRIPTIONS = 20
"""Recipes that are read on the window's thread: two milliseconds each."""


class TrainingController(QObject):
    """Trains one run at a time. ``failed`` carries an :class:`ErrorText`."""

    preparing = Signal()
    started = Signal(object)
    request_changed = Signal()
    ended = Signal(object)
    failed = Signal(object)
    _prepared = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = WorkerThread("training", self)
        self._prepared.connect(self._begin, Qt.ConnectionType.QueuedConnection)
        self._control: TrainControl | None = None
        self._queued_recipe: Recipe | None = None
        self.run: Run | None = None
        self.was_stopped = False

    @property
    def running(self) -> bool:
        """Whether a run is being checked or trained."""
        return self._control is not None

    @property
    def stopping(self) -> bool:
        """Whether it has been asked to stop."""
        return self._control is not None and self._control.stopping

    @property
    def paused(self) -> bool:
        """Whether it has been asked to pause."""
        return self._control is not None and self._control.paused

    def is_training(self, run: Run | None) -> bool:
        """Return whether ``run`` is the one that is trained here."""
        return self.running and run is not None and self.run is not None and self.run.path == run.path

    def start(self, recipe: Recipe, queued: bool = False) -> None:
        """Check ``recipe`` and train a frozen copy in a new run directory; ``queued`` if it is not the open one."""
        control = self._new_control()
        self._queued_recipe = recipe if queued else None
        self._worker.submit(lambda: _train_new(recipe, control, self._prepared.emit), self._end, self._fail)

    def resume(self, run: Run, epochs: int = 0) -> None:
        """Resume a run that was interrupted; with ``epochs``, until it has completed that many in total."""
        control = self._new_control()
        self._queued_recipe = None
        self._begin(run)
        self._worker.submit(lambda: _resume_run(run, control, epochs), self._end, self._fail)

    def stop(self) -> None:
        """Ask the run to stop after its step; it can be resumed."""
        if self._control is not None:
            self.was_stopped = True
            self._control.stop()
            self.request_changed.emit()

    def pause(self) -> None:
        """Ask the run to pause after its step."""
        if self._control is not None:
            self._control.pause()
            self.request_changed.emit()

    def unpause(self) -> None:
        """Let a paused run continue."""
        if self._control is not None:
            self._control.resume()
            self.request_changed.emit()

    def request_checkpoint(self) -> None:
        """Ask for a checkpoint after this step."""
        if self._control is not None:
            self._control.request_checkpoint()

    def close(self) -> None:
        """Stop and wait for the end of the thread."""
        self.stop()
        self._worker.close()
        self._control = None

    def _new_control(self) -> "TrainControl":
        from studio.core.control import TrainControl

        self.run, self.was_stopped = None, False
        self._control = TrainControl()
        self.preparing.emit()
        return self._control

    def _begin(self, run: Run) -> None:
        self.run = run
        self.started.emit(run)

    def _end(self, value: object) -> None:
        self._control = None
        self.ended.emit(self.run)

    def _fail(self, error: Exception) -> None:
        self._control = None
        self.failed.emit(error_message(error, self._queued_recipe))
        self.ended.emit(self.run)


def _train_new(recipe: Recipe, control: "TrainControl", prepared: Callable[[Run], None]) -> None:
    from studio.app.training import create_run

    run = create_run(recipe)
    prepared(run)
    _train(run, control, resume=False)


def _resume_run(run: Run, control: "TrainControl", epochs: int) -> None:
    from studio.app.training import open_for_resume

    _train(open_for_resume(run.path, None, [f"training.epochs={epochs}"] if epochs else ()), control, resume=True)


def _train(run: Run, control: "TrainControl", resume: bool) -> None:
    from studio.app.training import train

    for _ in train(run, control, resume):
        pass


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in a list; ``live`` if it is being trained, here or by another program."""

    run: Run
    name: str
    state: str
    backbone: str
    methods: str
    accuracy: float | None
    step: int
    steps: int
    live: bool = False

    @property
    def resumable(self) -> bool:
        """Whether it stopped before its end."""
        return self.state in ("stopped", "interrupted", "failed")

    @property
    def readable(self) -> bool:
        """Whether its recipe can be read, if that was tried."""
        return self.backbone != UNREADABLE_BACKBONE


class RunRegistry(QObject):
    """The runs in the runs folder, and the selected one, which the pages show."""

    changed = Signal(object)
    selected_changed = Signal(object)

    def __init__(self, trainer: TrainingController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._trainer = trainer
        self.worker = WorkerThread("runs", self)
        self.rows: tuple[RunRow, ...] = ()
        self._descriptions: dict[Path, tuple[str, str]] = {}
        self._locked_paths: frozenset[Path] = frozenset()
        self._last_signature: object = None
        self.selected: Run | None = None
        trainer.started.connect(self._started)
        trainer.ended.connect(self._ended)
        self._poll_timer = QTimer(self)
        self._poll_timer.setInterval(POLL_MS)
        self._poll_timer.timeout.connect(self.poll)

    def start(self) -> None:
        """Read the folder, and check it regularly."""
        self.reload()
        self._poll_timer.start()

    def close(self) -> None:
        """Stop checking, and end the thread."""
        self._poll_timer.stop()
        self.worker.close()

    def poll(self) -> None:
        """Check on a thread whether another program has changed a run; if so, read the folder again."""
        self.worker.submit(lambda: _signature(paths.runs_dir()), self._polled, key="look")

    def _polled(self, found: tuple[object, frozenset[Path]]) -> None:
        if found != self._last_signature:
            self._last_signature, self._locked_paths = found, found[1]
            self.reload()

    def reload(self) -> None:
        """Read the folder again."""
        runs = list_runs(paths.runs_dir())
        unknown = [run for run in runs if run.path not in self._descriptions]
        self._descriptions |= _describe_runs(unknown[:MAX_SYNC_DESCRIPTIONS])
        if unknown[MAX_SYNC_DESCRIPTIONS:]:
            self.worker.submit(
                lambda: _describe_runs(unknown[MAX_SYNC_DESCRIPTIONS:]), self._add_descriptions, key="describe"
            )
        self.rows = tuple(self._row(run) for run in runs)
        if self.selected is not None and not self.selected.path.is_dir():  # it was deleted meanwhile
            self.select(None)
        self.changed.emit(self.rows)

    def _add_descriptions(self, found: dict[Path, tuple[str, str]]) -> None:
        self._descriptions |= found
        self.reload()

    def select(self, run: Run | None) -> None:
        """Make ``run`` the one that the pages show."""
        if (run and run.path) != (self.selected and self.selected.path):
            self.selected = run
            self.selected_changed.emit(run)

    def find(self, run: Run | None) -> RunRow | None:
        """Return the row of ``run``; None if it has none."""
        return next((row for row in self.rows if run and row.run.path == run.path), None)

    def _started(self, run: Run) -> None:
        self.reload()
        self.select(run)

    def _ended(self, run: Run | None) -> None:
        """Forget the lock of ``run``, which was held here."""
        self._locked_paths -= {run.path} if run else frozenset()
        self.reload()

    def _row(self, run: Run) -> RunRow:
        status = run.status
        backbone, methods = self._descriptions.get(run.path, ("…", "…"))
        live = self._trainer.is_training(run) or run.path in self._locked_paths
        return RunRow(
            run=run,
            name=run.path.name,
            state=_state(status, live),
            backbone=backbone,
            methods=methods,
            accuracy=_number(status.get("best_accuracy")),
            step=int(_number(status.get("step")) or 0),
            steps=int(_number(status.get("steps")) or 0),
            live=live,
        )


def _number(value: object) -> float | None:
    """Return ``value`` if it is a number: the status file may be damaged."""
    return value if isinstance(value, int | float) else None


def _state(status: dict[str, Any], live: bool) -> str:
    state = str(status.get("state", "interrupted"))
    if live:
        return state if state in ("running", "paused") else "running"
    return state if state in ("completed", "stopped", "failed") else "interrupted"


def _describe_runs(runs: Iterable[Run]) -> dict[Path, tuple[str, str]]:
    """Return backbone and methods of each run; read once, because the recipe of a run is frozen."""
    return {run.path: _describe_run(run) for run in runs}


def _describe_run(run: Run) -> tuple[str, str]:
    try:
        recipe = run.recipe
    except StudioError:
        return UNREADABLE_BACKBONE, N_("recipe cannot be read")
    return recipe.backbone.name, methods_text(recipe)


def methods_text(recipe: Recipe) -> str:
    """Return the enabled methods of a recipe, joined by commas, or a message that only the head trains."""
    return ", ".join(dict.fromkeys(a.method for a in recipe.attachments if a.enabled)) or N_("head only")


def _signature(folder: Path) -> tuple[object, frozenset[Path]]:
    """Return the modification time of each status, and the runs whose lock a process holds."""
    from studio.training.run_io.lock import is_locked

    runs = list_runs(folder)
    held = frozenset(r.path for r in runs if r.status.get("state") in ("running", "paused") and is_locked(r.path))
    return tuple((run.path, _status_mtime(run)) for run in runs), held


def _status_mtime(run: Run) -> int:
    try:
        return (run.path / "status.json").stat().st_mtime_ns
    except OSError:
        return 0
