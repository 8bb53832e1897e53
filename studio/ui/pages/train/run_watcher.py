"""Replay of a run directory, on a thread if it is long, followed while live."""

from PySide6.QtCore import QObject, QTimer, Signal

from studio.core.run import EventTail, Run
from studio.ui.pages.train.run_history import RunHistory
from studio.ui.services.background import WorkerThread

POLL_MS = 150
SYNC_READ_BYTES = 200_000
"""Bytes of events that are read without a thread: 1,000 steps, 10 ms."""


class RunWatcher(QObject):
    """Reader of a run's events into a history, while the run is live."""

    updated = Signal()
    run_changed = Signal()

    def __init__(self, worker: WorkerThread, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = worker
        self.run: Run | None = None
        self.history = RunHistory()
        self.live = False
        self._event_tail: EventTail | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.poll)

    @property
    def reading(self) -> bool:
        """Whether the events so far are still being read."""
        return self.run is not None and self._event_tail is None

    def watch(self, run: Run | None, live: bool) -> None:
        """Read ``run`` from its first event; keep reading if it is ``live``."""
        self.run, self.live, self.history, self._event_tail = run, live, RunHistory(), None
        self._timer.stop()
        self.run_changed.emit()
        if run is None:
            return
        if _events_size(run) <= SYNC_READ_BYTES:
            self._read(run, _replay(run))
        else:
            self._worker.submit(lambda: _replay(run), lambda past: self._read(run, past), key=f"replay {id(self)}")

    def _read(self, run: Run, past: tuple[RunHistory, EventTail]) -> None:
        if run is not self.run:
            return
        self.history, self._event_tail = past
        self.updated.emit()
        if self.live:
            self._timer.start()

    def poll(self) -> None:
        """Read new events."""
        new = self._event_tail.poll() if self._event_tail else []
        if new:
            self.history.apply(new)
            self.updated.emit()

    def resume(self) -> None:
        """Read again, because the run is trained again."""
        self.live = True
        if self._event_tail is not None:
            self._timer.start()

    def stop(self) -> None:
        """Read the last events and stop."""
        self.live = False
        self._timer.stop()
        self.poll()
        self.updated.emit()


def _events_size(run: Run) -> int:
    try:
        return (run.path / "events.jsonl").stat().st_size
    except OSError:
        return 0


def _replay(run: Run) -> tuple[RunHistory, EventTail]:
    history, tail = RunHistory(), EventTail(run)
    history.apply(tail.poll())
    return history, tail
