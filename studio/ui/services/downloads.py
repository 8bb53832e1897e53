"""Fetching weights from the window: on a thread, with its progress told ten times a second."""

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from studio.ui.services.background import Lane, sentence

if TYPE_CHECKING:
    from studio.backbones.weights import DownloadProgress, DownloadCallback
    from studio.core.control import TrainControl

TELL_SECONDS = 0.1
JOIN_SECONDS = 2.0
"""A thread that waits for a silent hub is left behind when the window closes; it holds nothing of worth."""


class Downloads(QObject):
    """Fetches one file at a time. ``ended`` carries an empty text, or why it failed; nothing of it was cancelled."""

    advanced = Signal(object)
    ended = Signal(object)
    cancelled = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = Lane("weights", self)
        self._control: TrainControl | None = None

    @property
    def busy(self) -> bool:
        """Whether something is fetched."""
        return self._control is not None

    def fetch(self, repository: str) -> None:
        """Begin to fetch the weights of ``repository``."""
        from studio.core.control import TrainControl

        control = self._control = TrainControl()
        self._lane.submit(
            lambda: _fetch(repository, control, self.advanced.emit),
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
        self._lane.close(JOIN_SECONDS)

    def _end(self, control: "TrainControl", error: Exception | None) -> None:
        if control is self._control:
            self._control = None
            self.ended.emit(sentence(error) if error else "")


def _fetch(repository: str, control: "TrainControl", tell: "DownloadCallback") -> None:
    from studio.backbones import weights

    told = 0.0

    def report(fetched: "DownloadProgress") -> None:
        nonlocal told
        now = time.monotonic()
        if not control.stopping and (now - told >= TELL_SECONDS or fetched.done == fetched.total):
            told = now
            tell(fetched)

    weights.download(repository, report, control)
