"""Training from the window: the run goes on its own thread, and what is shown is read back from its directory."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from studio.core import paths
from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.core.run import Run, list_runs
from studio.ui.i18n.language import tr
from studio.ui.services.background import Lane, sentence

if TYPE_CHECKING:
    from studio.core.control import TrainControl

WATCH_MS = 2000
"""How often the runs folder is looked at for what other programs do in it."""
UNREADABLE = "?"
"""The backbone of a run whose recipe cannot be read."""
DESCRIBED_AT_ONCE = 20
"""Recipes that are read without a thread: two milliseconds each."""


class Trainer(QObject):
    """Trains one run at a time."""

    preparing = Signal()
    began = Signal(object)
    asked = Signal()
    ended = Signal(object)
    failed = Signal(object)
    _prepared = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = Lane("training", self)
        self._prepared.connect(self._begin, Qt.ConnectionType.QueuedConnection)
        self._control: TrainControl | None = None
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
        """Whether it has been asked to wait."""
        return self._control is not None and self._control.paused

    def trains(self, run: Run | None) -> bool:
        """Whether ``run`` is the one that is trained here."""
        return self.running and run is not None and self.run is not None and self.run.path == run.path

    def start(self, recipe: Recipe) -> None:
        """Check ``recipe`` and train a frozen copy of it in a new run directory."""
        control = self._new_control()
        self._lane.submit(lambda: _train_new(recipe, control, self._prepared.emit), self._end, self._fail)

    def resume(self, run: Run, epochs: int = 0) -> None:
        """Go on with a run that was interrupted; with ``epochs``, until it has had so many in all."""
        control = self._new_control()
        self._begin(run)
        self._lane.submit(lambda: _go_on(run, control, epochs), self._end, self._fail)

    def stop(self) -> None:
        """Ask the run to stop after its step; it can be resumed."""
        if self._control is not None:
            self.was_stopped = True
            self._control.stop()
            self.asked.emit()

    def pause(self) -> None:
        """Ask the run to wait after its step."""
        if self._control is not None:
            self._control.pause()
            self.asked.emit()

    def go_on(self) -> None:
        """Let a run that waits go on."""
        if self._control is not None:
            self._control.resume()
            self.asked.emit()

    def save_now(self) -> None:
        """Ask for a checkpoint after this step."""
        if self._control is not None:
            self._control.request_checkpoint()

    def close(self) -> None:
        """Stop and wait for the end of the thread."""
        self.stop()
        self._lane.close()
        self._control = None

    def _new_control(self) -> "TrainControl":
        from studio.core.control import TrainControl

        self.run, self.was_stopped = None, False
        self._control = TrainControl()
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


def _train_new(recipe: Recipe, control: "TrainControl", prepared: Callable[[Run], None]) -> None:
    from studio.app.training import prepare

    run = prepare(recipe)
    prepared(run)
    _train(run, control, resume=False)


def _go_on(run: Run, control: "TrainControl", epochs: int) -> None:
    from studio.app.training import reopen

    _train(reopen(run.path, None, [f"training.epochs={epochs}"] if epochs else ()), control, resume=True)


def _train(run: Run, control: "TrainControl", resume: bool) -> None:
    from studio.app.training import train

    for _ in train(run, control, resume):
        pass


@dataclass(frozen=True, slots=True)
class RunRow:
    """What a list shows of a run. ``live`` says that it is being trained, here or by another program."""

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
        """Whether its recipe can be read, as far as that was tried."""
        return self.backbone != UNREADABLE


class Runs(QObject):
    """The runs in the runs folder, and the one that the pages look at."""

    changed = Signal(object)
    selected_changed = Signal(object)

    def __init__(self, trainer: Trainer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._trainer = trainer
        self.lane = Lane("runs", self)
        self.rows: tuple[RunRow, ...] = ()
        self._descriptions: dict[Path, tuple[str, str]] = {}
        self._held: frozenset[Path] = frozenset()
        self._seen: object = None
        self.selected: Run | None = None
        trainer.began.connect(self._began)
        trainer.ended.connect(self._ended)
        self._watch = QTimer(self)
        self._watch.setInterval(WATCH_MS)
        self._watch.timeout.connect(self.look)

    def start(self) -> None:
        """Read the folder, and keep an eye on it."""
        self.refresh()
        self._watch.start()

    def close(self) -> None:
        """Look no more."""
        self._watch.stop()
        self.lane.close()

    def look(self) -> None:
        """See, on a thread, whether another program has changed something; if so, read the folder again."""
        self.lane.submit(lambda: _signature(paths.runs_dir()), self._looked, key="look")

    def _looked(self, found: tuple[object, frozenset[Path]]) -> None:
        if found != self._seen:
            self._seen, self._held = found, found[1]
            self.refresh()

    def refresh(self) -> None:
        """Read the folder again."""
        runs = list_runs(paths.runs_dir())
        unknown = [run for run in runs if run.path not in self._descriptions]
        self._descriptions |= _described(unknown[:DESCRIBED_AT_ONCE])
        if unknown[DESCRIBED_AT_ONCE:]:
            self.lane.submit(lambda: _described(unknown[DESCRIBED_AT_ONCE:]), self._take_descriptions, key="describe")
        self.rows = tuple(self._row(run) for run in runs)
        if self.selected is not None and not self.selected.path.is_dir():  # it was deleted meanwhile
            self.select(None)
        self.changed.emit(self.rows)

    def _take_descriptions(self, found: dict[Path, tuple[str, str]]) -> None:
        self._descriptions |= found
        self.refresh()

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

    def _ended(self, run: Run | None) -> None:
        """What was seen of its lock while it was trained here holds no more."""
        self._held -= {run.path} if run else frozenset()
        self.refresh()

    def _row(self, run: Run) -> RunRow:
        status = run.status
        backbone, methods = self._descriptions.get(run.path, ("…", "…"))
        live = self._trainer.trains(run) or run.path in self._held
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
    """What a status says where it is a number: the file may have been damaged."""
    return value if isinstance(value, int | float) else None


def _state(status: dict[str, Any], live: bool) -> str:
    state = str(status.get("state", "interrupted"))
    if live:
        return state if state in ("running", "paused") else "running"
    return state if state in ("completed", "stopped", "failed") else "interrupted"


def _described(runs: Iterable[Run]) -> dict[Path, tuple[str, str]]:
    """Backbone and methods of each run; read once, because a run's recipe is frozen."""
    return {run.path: _description(run) for run in runs}


def _description(run: Run) -> tuple[str, str]:
    try:
        recipe = run.recipe
    except StudioError:
        return UNREADABLE, tr("recipe cannot be read")
    return recipe.backbone.name, methods_of(recipe)


def methods_of(recipe: Recipe) -> str:
    """The methods of a recipe in a few words."""
    return ", ".join(dict.fromkeys(a.method for a in recipe.attachments if a.enabled)) or tr("head only")


def _signature(folder: Path) -> tuple[object, frozenset[Path]]:
    """What changes when a run does: when each status was written; and the runs that a process holds."""
    from studio.training.run_io.lock import is_locked

    runs = list_runs(folder)
    held = frozenset(r.path for r in runs if r.status.get("state") in ("running", "paused") and is_locked(r.path))
    return tuple((run.path, _written(run)) for run in runs), held


def _written(run: Run) -> int:
    try:
        return (run.path / "status.json").stat().st_mtime_ns
    except OSError:
        return 0
