"""The events of a run in ``events.jsonl``, and as text in ``log.txt``."""

import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Self, TypeVar

from studio.core import events

E = TypeVar("E", bound=events.Event)


class EventLogger:
    """Both files of a run; every line is flushed when a call returns."""

    def __init__(self, folder: Path) -> None:
        self._events = _open_for_append(folder / "events.jsonl")
        self._log = _open_for_append(folder / "log.txt")

    def write(self, event: E) -> E:
        """Append an event to both files and return it."""
        _append_line(self._events, event.to_json())
        if text := _log_text(event):
            self.write_line(text, event.time)
        return event

    def write_line(self, text: str, timestamp: float | None = None) -> None:
        """Append a line to ``log.txt`` only.

        ``timestamp`` is in seconds since 1970, now by default.
        """
        _append_line(self._log, f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(timestamp))}  {text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._events, self._log):
            with suppress(OSError):  # every line has been flushed, and a failure to do so was raised then
                file.close()


def _open_for_append(path: Path) -> IO[bytes]:
    """Open for appending, after the end of the last line if a kill cut it short."""
    file = path.open("ab+")
    if file.tell():
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file


def _append_line(file: IO[bytes], text: str) -> None:
    file.write(text.encode("utf-8", "replace") + b"\n")
    file.flush()


def _log_text(event: events.Event) -> str:
    match event:
        case events.Started():
            start = f"resumes from step {event.step}" if event.step else "starts"
            return (
                f"Training {start} on {event.device}: {event.steps} steps in {event.epochs} epochs, "
                f"{event.training_images} training and {event.validation_images} validation images, "
                f"{event.trainable_parameters:,} of {event.total_parameters:,} parameters are trainable."
            )
        case events.Epoch():
            means = f"training loss {event.loss:.4f}, accuracy {event.accuracy:.2%}"
            return f"Epoch {event.epoch}: {means}, {event.seconds:.1f} s ({event.waited:.1f} s waiting for images)."
        case events.Evaluation():
            means = f"{event.split} loss {event.loss:.4f}, accuracy {event.accuracy:.2%}"
            return f"After epoch {event.epoch}: {means}{', the best so far' if event.best else ''}."
        case events.Warning() | events.Error():
            return f"{event.kind.capitalize()}: {event.text}"
        case events.Paused():
            return f"Paused at step {event.step}."
        case events.Resumed():
            return f"Resumed at step {event.step}."
        case events.Finished():
            return f"Training {event.reason} at step {event.step} after {event.seconds:.0f} s."
    return ""
