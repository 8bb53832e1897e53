"""The bench on which the chosen run is tried, on the thread that alone may touch it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from studio.core.run import Run
from studio.ui.services.background import Lane

if TYPE_CHECKING:
    from studio.app.inference_session import Bench


class BenchRoom(QObject):
    """Opens the bench of a run when it is first asked for something, and keeps it until another run is chosen."""

    def __init__(self, lane: Lane, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = lane
        self._run: Run | None = None
        self._visit = 0
        self._open: tuple[int, Bench] | None = None

    @property
    def run(self) -> Run | None:
        """The run that is tried."""
        return self._run

    def take(self, run: Run | None) -> None:
        """Try ``run`` from now on, as it is now; what others were put beside it is forgotten."""
        self._run = run
        self._visit += 1

    def ask(
        self,
        work: "Callable[[Bench], Any]",
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        key: str = "",
    ) -> None:
        """Do ``work`` with the bench on the lane's thread; what comes back after another run was taken is dropped."""
        run, visit = self._run, self._visit
        if run is None:
            return
        self._lane.submit(
            lambda: work(self._bench(run, visit)),
            lambda value: done(value) if visit == self._visit else None,
            lambda error: failed(error) if visit == self._visit else None,
            key,
        )

    def _bench(self, run: Run, visit: int) -> "Bench":
        """On the lane's thread."""
        from studio.app.inference_session import Bench

        if self._open is None or self._open[0] != visit:
            self._open = None
            self._open = (visit, Bench(run))
        return self._open[1]
