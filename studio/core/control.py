"""Telling a training from another thread what to do."""

import threading

_POLL_SECONDS = 0.5
"""A waiting training looks up this often, as a signal on Windows does not wake it."""


class TrainControl:
    """Held by whoever started the training; safe to use from any thread."""

    def __init__(self) -> None:
        self._stop_requested = threading.Event()
        self._resumed = threading.Event()
        self._resumed.set()
        self._checkpoint_requested = threading.Event()

    def stop(self) -> None:
        """Ask the training to write a checkpoint at the end of the step and to end."""
        self._stop_requested.set()
        self._resumed.set()

    @property
    def stopping(self) -> bool:
        """Whether the training has been asked to stop."""
        return self._stop_requested.is_set()

    def pause(self) -> None:
        """Ask the training to write a checkpoint at the end of the step and to wait; one that stops does not wait."""
        if not self.stopping:
            self._resumed.clear()

    def resume(self) -> None:
        """Let a paused training go on from where it waits."""
        self._resumed.set()

    @property
    def paused(self) -> bool:
        """Whether the training has been asked to wait."""
        return not (self._resumed.is_set() or self.stopping)

    def wait(self) -> None:
        """Called by the training: return when it may go on or is to stop; no time is spent while waiting."""
        while self.paused:
            self.wait_tick()

    def wait_tick(self) -> None:
        """Wait a moment, or less where the pause ends."""
        self._resumed.wait(_POLL_SECONDS)

    def request_checkpoint(self) -> None:
        """Ask the training to write a checkpoint at the end of the step and to go on."""
        self._checkpoint_requested.set()

    def pop_checkpoint_request(self) -> bool:
        """Called by the training: whether a checkpoint was asked for since the last call."""
        wished = self._checkpoint_requested.is_set()
        self._checkpoint_requested.clear()
        return wished
