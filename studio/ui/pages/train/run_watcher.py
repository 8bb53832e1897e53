"""A run's directory replayed: at once where it is short, on a thread where it is long, live while it goes on."""

from PySide6.QtCore import QObject, QTimer, Signal

from studio.core.run import EventTail, Run
from studio.ui.pages.train.run_history import History
from studio.ui.services.background import Lane

POLL_MS = 150
AT_ONCE = 200_000
"""Bytes of events that are read without a thread: a thousand steps, ten milliseconds."""


class LiveRun(QObject):
    """Replays a run's events into a history, and goes on reading while the run is live."""

    advanced = Signal()
    switched = Signal()

    def __init__(self, lane: Lane, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = lane
        self.run: Run | None = None
        self.history = History()
        self.live = False
        self._follower: EventTail | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.poll)

    @property
    def reading(self) -> bool:
        """Whether the run's past is still being read."""
        return self.run is not None and self._follower is None

    def follow(self, run: Run | None, live: bool) -> None:
        """Show ``run`` from its first event on; keep reading where it is ``live``."""
        self.run, self.live, self.history, self._follower = run, live, History(), None
        self._timer.stop()
        self.switched.emit()
        if run is None:
            return
        if _size(run) <= AT_ONCE:
            self._read(run, _replayed(run))
        else:
            self._lane.submit(lambda: _replayed(run), lambda past: self._read(run, past), key=f"replay {id(self)}")

    def _read(self, run: Run, past: tuple[History, EventTail]) -> None:
        if run is not self.run:
            return
        self.history, self._follower = past
        self.advanced.emit()
        if self.live:
            self._timer.start()

    def poll(self) -> None:
        """Read what is new."""
        new = self._follower.poll() if self._follower else []
        if new:
            self.history.take(new)
            self.advanced.emit()

    def go_on(self) -> None:
        """The run is trained again: read what comes."""
        self.live = True
        if self._follower is not None:
            self._timer.start()

    def stop(self) -> None:
        """Read for the last time, and no more."""
        self.live = False
        self._timer.stop()
        self.poll()
        self.advanced.emit()


def _size(run: Run) -> int:
    try:
        return (run.path / "events.jsonl").stat().st_size
    except OSError:
        return 0


def _replayed(run: Run) -> tuple[History, EventTail]:
    history, follower = History(), EventTail(run)
    history.take(follower.poll())
    return history, follower
