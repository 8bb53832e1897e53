"""Work that must not block the window: background threads, and work spread over the ticks of the event loop."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal, SignalInstance
from shiboken6 import isValid


@dataclass(frozen=True, slots=True)
class _Request:
    key: str
    work: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Callable[[Exception], None]


@dataclass(frozen=True, slots=True)
class _Result:
    callback: Callable[[Any], None]
    value: Any


def listen(owner: QObject, signal: SignalInstance, slot: Callable[..., object]) -> None:
    """Call ``slot`` at each ``signal`` for as long as ``owner`` lives.

    Qt ends the connections of bound methods with their object, but not those of lambdas: a page that is built anew
    would leave them behind.
    """
    connection = signal.connect(slot)
    owner.destroyed.connect(lambda: QObject.disconnect(connection))


class FrameScheduler(QObject):
    """Work for the window's own thread, one piece a tick, so that no tick blocks the window for long.

    A piece that waits is replaced by a newer one of the same name.
    """

    TICK_MS = 40

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: dict[str, tuple[float, Callable[[], None]]] = {}
        self._last_done: dict[str, float] = {}
        self._timer = QTimer(self)
        self._timer.setInterval(self.TICK_MS)
        self._timer.timeout.connect(self._run_next)

    def schedule(self, name: str, work: Callable[[], None], every: float = 0.0) -> None:
        """Do ``work`` on a later tick, at most once in ``every`` seconds for this name."""
        self._waiting[name] = (self._last_done.get(name, -every) + every, work)
        if not self._timer.isActive():
            self._timer.start()

    def _run_next(self) -> None:
        now = time.monotonic()
        name = next((name for name, (due, _) in self._waiting.items() if due <= now), None)
        if name is None:
            return
        _, work = self._waiting.pop(name)
        self._last_done[name] = now
        if not self._waiting:
            self._timer.stop()  # before the work, which may fail
        work()


class WorkerThread(QObject):
    """One background thread. A waiting request is replaced by a newer one with the same non-empty key.

    ``done`` and ``failed`` are called on the thread that made this object; never after :meth:`close`, and never if the
    object whose method or lambda they are has been deleted meanwhile.
    """

    _finished = Signal(object)

    def __init__(
        self, name: str, parent: QObject | None = None, failed: Callable[[Exception], None] | None = None
    ) -> None:
        """Start the thread; ``failed`` handles the errors of requests without a handler, instead of a dialog."""
        super().__init__(parent)
        self._failed = failed or _raise
        self._waiting: list[_Request] = []
        self._changed = threading.Condition()
        self._busy = False
        self._closed = False
        self._finished.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a request runs or waits."""
        with self._changed:
            return self._busy or bool(self._waiting)

    def submit(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None] = lambda value: None,
        failed: Callable[[Exception], None] | None = None,
        key: str = "",
    ) -> None:
        """Run ``work`` on the thread, then call ``done`` with its value, or ``failed`` with the exception."""
        request = _Request(key, work, done, failed or self._failed)
        with self._changed:
            if key:
                self._waiting = [waiting for waiting in self._waiting if waiting.key != key]
            self._waiting.append(request)
            self._changed.notify()

    def close(self, seconds: float | None = None) -> None:
        """Drop waiting requests, let the running one end, and join the thread for at most ``seconds``."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify()
        self._thread.join(seconds)

    def _run(self) -> None:
        while (request := self._next()) is not None:
            try:
                answer = _Result(request.done, request.work())
            except Exception as error:
                answer = _Result(request.failed, error)
            with self._changed:
                self._busy = False
                if self._closed:
                    return
            self._finished.emit(answer)

    def _next(self) -> _Request | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return None
            self._busy = True
            return self._waiting.pop(0)

    def _deliver(self, answer: _Result) -> None:
        if not self._closed and all(map(isValid, _receivers(answer.callback))):
            answer.callback(answer.value)


def _receivers(callback: Any) -> Iterator[QObject]:
    """Yield the objects that ``callback`` acts on: of a bound method, of a partial, and those that a lambda holds."""
    if isinstance(callback, partial):
        yield from (thing for thing in callback.args if isinstance(thing, QObject))
        yield from _receivers(callback.func)
    if isinstance(owner := getattr(callback, "__self__", None), QObject):
        yield owner
    for cell in getattr(callback, "__closure__", None) or ():
        if isinstance(cell.cell_contents, QObject):
            yield cell.cell_contents
        elif callable(cell.cell_contents):
            yield from _receivers(cell.cell_contents)


def _raise(error: Exception) -> None:
    raise error
