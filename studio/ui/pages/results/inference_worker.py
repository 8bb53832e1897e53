"""Inference session of the selected run, on the one thread that may use it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from studio.core.run import Run
from studio.ui.services.background import WorkerThread

if TYPE_CHECKING:
    from studio.app.inference_session import InferenceSession


class InferenceWorker(QObject):
    """Owner of an inference session, opened lazily and kept until another run."""

    def __init__(self, worker: WorkerThread, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = worker
        self._run: Run | None = None
        self._generation = 0
        self._open_session: tuple[int, InferenceSession] | None = None

    @property
    def run(self) -> Run | None:
        """The run of the session."""
        return self._run

    def set_run(self, run: Run | None) -> None:
        """Use ``run`` as it is now, without the adapters added for another run."""
        self._run = run
        self._generation += 1

    def submit(
        self,
        work: "Callable[[InferenceSession], Any]",
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        key: str = "",
    ) -> None:
        """Do ``work`` with the session on the worker thread.

        Its result is dropped if another run is set meanwhile.
        """
        run, generation = self._run, self._generation
        if run is None:
            return
        self._worker.submit(
            lambda: work(self._session(run, generation)),
            lambda value: done(value) if generation == self._generation else None,
            lambda error: failed(error) if generation == self._generation else None,
            key,
        )

    def _session(self, run: Run, generation: int) -> "InferenceSession":
        """Return the session of ``run``, opened if needed; runs on the worker thread."""
        from studio.app.inference_session import InferenceSession

        if self._open_session is None or self._open_session[0] != generation:
            self._open_session = None
            self._open_session = (generation, InferenceSession(run))
        return self._open_session[1]
