"""Downloads of weights on a thread, with progress ten times a second."""

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
"""Time to wait for the thread on closing; one that waits for a silent hub is abandoned."""


class Downloads(QObject):
    """Downloads one file at a time. ``finished`` carries an empty text or the error; not emitted on cancel."""

    progressed = Signal(object)
    finished = Signal(object)
    cancelled = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = WorkerThread("weights", self)
        self._control: TrainControl | None = None

    @property
    def busy(self) -> bool:
        """Whether a download runs."""
        return self._control is not None

    def download(self, repository: str) -> None:
        """Start to download the weights of ``repository``."""
        from studio.core.control import TrainControl

        control = self._control = TrainControl()
        self._worker.submit(
            lambda: _download(repository, control, self.progressed.emit),
            lambda path: self._end(control, None),
            lambda error: self._end(control, error),
        )

    def cancel(self) -> None:
        """Cancel the download; the received part is kept."""
        if self._control is not None:
            self._control.stop()
            self._control = None
            self.cancelled.emit()

    def close(self) -> None:
        """Cancel the download, and end the thread."""
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
