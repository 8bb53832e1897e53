"""Work that must not hold up the window: lanes, each one background thread that takes its requests in turn."""

import errno
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from studio.core.errors import StudioError
from studio.ui.i18n.language import tr

_DISK_FULL = "There is no room left on the disk to write {file}; make room there and try again."
_NO_PERMISSION = "This user may not read or write {file}; change its permissions, or choose another folder."
_DISK_ERRORS = {
    errno.ENOSPC: _DISK_FULL,
    errno.EFBIG: _DISK_FULL,
    errno.EDQUOT: _DISK_FULL,
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EROFS: _NO_PERMISSION,
}


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


class FrameScheduler(QObject):
    """Work for the window's own thread, one piece per tick, so that no tick blocks the window for long.

    A waiting piece is replaced by a newer one of the same name.
    """

    TICK_MS = 40

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: dict[str, tuple[float, Callable[[], None]]] = {}
        self._last_times: dict[str, float] = {}
        self._timer = QTimer(self)
        self._timer.setInterval(self.TICK_MS)
        self._timer.timeout.connect(self._next)

    def schedule(self, name: str, work: Callable[[], None], every: float = 0.0) -> None:
        """Do ``work`` on a later tick, at least ``every`` seconds after the last work of the same ``name``."""
        self._waiting[name] = (self._last_times.get(name, -math.inf) + every, work)
        if not self._timer.isActive():
            self._timer.start()

    def _next(self) -> None:
        now = time.monotonic()
        name = next((name for name, (due, _) in self._waiting.items() if due <= now), None)
        if name is None:
            return
        _, work = self._waiting.pop(name)
        self._last_times[name] = now
        if not self._waiting:
            self._timer.stop()  # before the work, which may fail
        work()


def error_message(error: BaseException) -> str:
    """What to tell the user: our own errors as they are, what befalls any program with its cause, else "unexpected"."""
    if isinstance(error, StudioError):
        return tr(str(error))
    if isinstance(error, MemoryError):
        return tr(
            "There is not enough memory for this; close other programs and try again, or choose something smaller."
        )
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        return tr(_DISK_ERRORS[error.errno], file=error.filename or tr("a file"))
    return tr("Unexpected {kind}: {error}", kind=type(error).__name__, error=error)


class WorkerThread(QObject):
    """One background thread. A waiting request is replaced by a newer one with the same non-empty key.

    ``done`` and ``failed`` are called on the thread that made the lane, never after :meth:`close`.
    """

    _finished = Signal(object)

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: list[_Request] = []
        self._changed = threading.Condition()
        self._busy = False
        self._closed = False
        self._finished.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether something runs or waits."""
        with self._changed:
            return self._busy or bool(self._waiting)

    def submit(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None] = lambda value: None,
        failed: Callable[[Exception], None] | None = None,
        key: str = "",
    ) -> None:
        """Run ``work`` on the lane's thread, then ``done`` with its value, or ``failed`` with the exception."""
        request = _Request(key, work, done, failed or _raise)
        with self._changed:
            if key:
                self._waiting = [waiting for waiting in self._waiting if waiting.key != key]
            self._waiting.append(request)
            self._changed.notify()

    def close(self, seconds: float | None = None) -> None:
        """Drop what waits, let what runs come to its end, and join, for so many ``seconds`` at most."""
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
        if not self._closed:
            answer.callback(answer.value)


def _raise(error: Exception) -> None:
    raise error
