"""Telling a training from another thread what to do."""

import threading


class Control:
    """Held by whoever started the training; safe to use from any thread."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask the training to write a checkpoint at the end of the step and to end."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether the training has been asked to stop."""
        return self._stop.is_set()
