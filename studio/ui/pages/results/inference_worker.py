"""The bench on which the chosen run is tried, on the thread that alone may touch it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from studio.core.run import Run
from studio.ui.services.background import WorkerThread

if TYPE_CHECKING:
    from studio.app.inference_session import InferenceSession


class InferenceWorker(QObject):
    """Opens the bench of a run when it is first asked for something, and keeps it until another run is chosen."""

    def __init__(self, worker: WorkerThread, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = worker
        self._run: Run | None = None
        self._generation = 0
        self._open_session: tuple[int, InferenceSession] | None = None

    @property
    def run(self) -> Run | None:
        """The run that is tried."""
        return self._run

    def set_run(self, run: Run | None) -> None:
        """Try ``run`` from now on, as it is now; what others were put beside it is forgotten."""
        self._run = run
        self._generation += 1

    def submit(
        self,
        work: "Callable[[InferenceSession], Any]",
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        key: str = "",
    ) -> None:
        """Do ``work`` with the bench on the lane's thread; what comes back after another run was taken is dropped."""
        run, visit = self._run, self._generation
        if run is None:
            return
        self._worker.submit(
            lambda: work(self._session(run, visit)),
            lambda value: done(value) if visit == self._generation else None,
            lambda error: failed(error) if visit == self._generation else None,
            key,
        )

    def _session(self, run: Run, generation: int) -> "InferenceSession":
        """On the lane's thread."""
        from studio.app.inference_session import InferenceSession

        if self._open_session is None or self._open_session[0] != generation:
            self._open_session = None
            self._open_session = (generation, InferenceSession(run))
        return self._open_session[1]
