"""Training from the window: the run goes on its own thread, and what is shown is read back from its directory."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from studio.core import paths
from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.core.run import Follower, Run, list_runs
from studio.ui.history import History
from studio.ui.jobs import Lane, sentence

if TYPE_CHECKING:
    from studio.training.control import Control

POLL_MS = 150


class Trainer(QObject):
    """Trains one run at a time."""

    preparing = Signal()
    began = Signal(object)
    ended = Signal(object)
    failed = Signal(object)
    _prepared = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = Lane("training", self)
        self._prepared.connect(self._begin, Qt.ConnectionType.QueuedConnection)
        self._control: Control | None = None
        self.run: Run | None = None

    @property
    def running(self) -> bool:
        """Whether a run is being checked or trained."""
        return self._control is not None

    @property
    def stopping(self) -> bool:
        """Whether it has been asked to stop."""
        return self._control is not None and self._control.stopping

    def start(self, recipe: Recipe) -> None:
        """Check ``recipe`` and train a frozen copy of it in a new run directory."""
        control = self._new_control()
        self._lane.submit(lambda: _train_new(recipe, control, self._prepared.emit), self._end, self._fail)

    def resume(self, run: Run) -> None:
        """Go on with a run that was interrupted."""
        control = self._new_control()
        self._begin(run)
        self._lane.submit(lambda: _train(run, control, resume=True), self._end, self._fail)

    def stop(self) -> None:
        """Ask the run to stop after its step; it can be resumed."""
        if self._control is not None:
            self._control.stop()

    def close(self) -> None:
        """Stop and wait for the end of the thread."""
        self.stop()
        self._lane.close()
        self._control = None

    def _new_control(self) -> "Control":
        from studio.training.control import Control

        self.run = None
        self._control = Control()
        self.preparing.emit()
        return self._control

    def _begin(self, run: Run) -> None:
        self.run = run
        self.began.emit(run)

    def _end(self, value: object) -> None:
        self._control = None
        self.ended.emit(self.run)

    def _fail(self, error: Exception) -> None:
        self._control = None
        self.failed.emit(sentence(error))
        self.ended.emit(self.run)


def _train_new(recipe: Recipe, control: "Control", prepared: Callable[[Run], None]) -> None:
    from studio.app.training import prepare

    run = prepare(recipe)
    prepared(run)
    _train(run, control, resume=False)


def _train(run: Run, control: "Control", resume: bool) -> None:
    from studio.app.training import train

    for _ in train(run, control, resume):
        pass


class LiveRun(QObject):
    """Replays a run's events into a history, and goes on reading while the run is live."""

    advanced = Signal()
    switched = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.run: Run | None = None
        self.history = History()
        self._follower: Follower | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.poll)

    def follow(self, run: Run | None, live: bool) -> None:
        """Show ``run`` from its first event on; keep reading where it is ``live``."""
        if self.run is None or run is None or run.path != self.run.path or live:
            self.run, self.history = run, History()
            self._follower = Follower(run) if run else None
            self.switched.emit()
        self.poll()
        self._timer.start() if live else self._timer.stop()

    def poll(self) -> None:
        """Read what is new."""
        new = self._follower.poll() if self._follower else []
        if new:
            self.history.take(new)
            self.advanced.emit()

    def stop(self) -> None:
        """Read for the last time, and no more."""
        self._timer.stop()
        self.poll()


@dataclass(frozen=True, slots=True)
class RunRow:
    """What a list shows of a run."""

    run: Run
    name: str
    state: str
    backbone: str
    methods: str
    accuracy: float | None
    step: int
    steps: int

    @property
    def resumable(self) -> bool:
        """Whether it stopped before its end."""
        return self.state in ("stopped", "interrupted")


class Runs(QObject):
    """The runs in the runs folder, and the one that the pages look at."""

    changed = Signal(object)
    selected_changed = Signal(object)

    def __init__(self, trainer: Trainer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._trainer = trainer
        self.rows: tuple[RunRow, ...] = ()
        self._descriptions: dict[Path, tuple[str, str]] = {}
        self.selected: Run | None = None
        trainer.began.connect(self._began)
        trainer.ended.connect(lambda run: self.refresh())

    def refresh(self) -> None:
        """Read the folder again."""
        self.rows = tuple(self._row(run) for run in list_runs(paths.runs()))
        self.changed.emit(self.rows)

    def select(self, run: Run | None) -> None:
        """Make ``run`` the one that the pages look at."""
        if (run and run.path) != (self.selected and self.selected.path):
            self.selected = run
            self.selected_changed.emit(run)

    def row(self, run: Run | None) -> RunRow | None:
        """The row of ``run``."""
        return next((row for row in self.rows if run and row.run.path == run.path), None)

    def _began(self, run: Run) -> None:
        self.refresh()
        self.select(run)

    def _row(self, run: Run) -> RunRow:
        status = run.status
        backbone, methods = self._described(run)
        return RunRow(
            run=run,
            name=run.path.name,
            state=self._state(run, status),
            backbone=backbone,
            methods=methods,
            accuracy=status.get("best_accuracy"),
            step=status.get("step", 0),
            steps=status.get("steps", 0),
        )

    def _described(self, run: Run) -> tuple[str, str]:
        """Backbone and methods of a run; read once, because a run's recipe is frozen."""
        if run.path not in self._descriptions:
            try:
                recipe = run.recipe
            except StudioError:
                return "?", "recipe cannot be read"
            methods = ", ".join(dict.fromkeys(a.method for a in recipe.attachments if a.enabled)) or "head only"
            self._descriptions[run.path] = (recipe.backbone.name, methods)
        return self._descriptions[run.path]

    def _state(self, run: Run, status: dict[str, object]) -> str:
        if self._trainer.running and self._trainer.run and self._trainer.run.path == run.path:
            return "running"
        state = str(status.get("state", "interrupted"))
        return "interrupted" if state == "running" else state
