"""Telling a training from another thread what to do."""

import threading

_LOOK_UP_SECONDS = 0.5
"""A waiting training looks up this often, as a signal on Windows does not wake it."""


class Control:
    """Held by whoever started the training; safe to use from any thread."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._go = threading.Event()
        self._go.set()
        self._checkpoint = threading.Event()

    def stop(self) -> None:
        """Ask the training to write a checkpoint at the end of the step and to end."""
        self._stop.set()
        self._go.set()

    @property
    def stopping(self) -> bool:
        """Whether the training has been asked to stop."""
        return self._stop.is_set()

    def pause(self) -> None:
        """Ask the training to write a checkpoint at the end of the step and to wait; one that stops does not wait."""
        if not self.stopping:
            self._go.clear()

    def resume(self) -> None:
        """Let a paused training go on from where it waits."""
        self._go.set()

    @property
    def paused(self) -> bool:
        """Whether the training has been asked to wait."""
        return not (self._go.is_set() or self.stopping)

    def wait(self) -> None:
        """Called by the training: return when it may go on or is to stop; no time is spent while waiting."""
        while self.paused:
            self.doze()

    def doze(self) -> None:
        """Wait a moment, or less where the pause ends."""
        self._go.wait(_LOOK_UP_SECONDS)

    def checkpoint_now(self) -> None:
        """Ask the training to write a checkpoint at the end of the step and to go on."""
        self._checkpoint.set()

    def take_checkpoint_wish(self) -> bool:
        """Called by the training: whether a checkpoint was asked for since the last call."""
        wished = self._checkpoint.is_set()
        self._checkpoint.clear()
        return wished
