"""Fetching weights from the window: on a thread, with its progress told ten times a second."""

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from studio.ui.services.background import WorkerThread
from studio.ui.services.error_text import error_message

if TYPE_CHECKING:
    from studio.backbones.weights import DownloadCallback, DownloadProgress
    from studio.core.control import TrainControl

PROGRESS_SECONDS = 0.1
JOIN_SECONDS = 2.0
"""A thread that waits for a silent hub is left behind when the window closes; it holds nothing of worth."""


class Downloads(QObject):
    """Fetches one file at a time. ``finished`` carries an empty text, or why it failed; nothing of it was cancelled."""

    progressed = Signal(object)
    finished = Signal(object)
    cancelled = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = WorkerThread("weights", self)
        self._control: TrainControl | None = None

    @property
    def busy(self) -> bool:
        """Whether something is fetched."""
        return self._control is not None

    def download(self, repository: str) -> None:
        """Begin to fetch the weights of ``repository``."""
        from studio.core.control import TrainControl

        control = self._control = TrainControl()
        self._worker.submit(
            lambda: _download(repository, control, self.progressed.emit),
            lambda path: self._end(control, None),
            lambda error: self._end(control, error),
        )

    def cancel(self) -> None:
        """Give up; what came is kept for the next time."""
        if self._control is not None:
            self._control.stop()
            self._control = None
            self.cancelled.emit()

    def close(self) -> None:
        """Give up, and end the thread."""
        self.cancel()
        self._worker.close(JOIN_SECONDS)

    def _end(self, control: "TrainControl", error: Exception | None) -> None:
        if control is self._control:
            self._control = None
            self.finished.emit(error_message(error) if error else "")


def _download(repository: str, control: "TrainControl", on_progress: "DownloadCallback") -> None:
    from studio.backbones import weights

    told = 0.0

    def report(fetched: "DownloadProgress") -> None:
        nonlocal told
        now = time.monotonic()
        if not control.stopping and (now - told >= PROGRESS_SECONDS or fetched.done == fetched.total):
            told = now
            on_progress(fetched)

    weights.download(repository, report, control)
