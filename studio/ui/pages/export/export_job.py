"""A running export."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from studio.ui.services.background import WorkerThread

if TYPE_CHECKING:
    from studio.export import Verification


class ExportJob(QObject):
    """An export on the worker thread; it outlives a page that is built anew meanwhile.

    ``verified`` carries the verification and the folder, ``failed`` the error.
    """

    verified = Signal(object, object)
    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.running = False

    def start(self, worker: WorkerThread, work: "Callable[[], Verification]", out: Path) -> None:
        """Do ``work``, which exports to ``out``, on the thread of ``worker``."""
        self.running = True
        worker.submit(work, lambda verification: self._end(verification, out), self._fail)

    def _end(self, verification: "Verification", out: Path) -> None:
        self.running = False
        self.verified.emit(verification, out)

    def _fail(self, error: Exception) -> None:
        self.running = False
        self.failed.emit(error)
