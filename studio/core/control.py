"""Control of a training from another thread."""

import threading

_POLL_SECONDS = 0.5
"""Poll interval of a paused training, because a signal on Windows does not wake it."""


class TrainControl:
    """Stop, pause, resume and checkpoint requests; safe to use from any thread."""

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
        """Ask the training to write a checkpoint after the step and to wait.

        A training that has been asked to stop does not wait.
        """
        if not self.stopping:
            self._resumed.clear()

    def resume(self) -> None:
        """Let a paused training continue."""
        self._resumed.set()

    @property
    def paused(self) -> bool:
        """Whether the training has been asked to wait."""
        return not (self._resumed.is_set() or self.stopping)

    def wait(self) -> None:
        """Block until the training may continue or must stop; called by the training."""
        while self.paused:
            self.wait_tick()

    def wait_tick(self) -> None:
        """Block for one poll interval, or less if the pause ends."""
        self._resumed.wait(_POLL_SECONDS)

    def request_checkpoint(self) -> None:
        """Ask the training to write a checkpoint after the step and to continue."""
        self._checkpoint_requested.set()

    def pop_checkpoint_request(self) -> bool:
        """Return whether a checkpoint was requested since the last call."""
        requested = self._checkpoint_requested.is_set()
        self._checkpoint_requested.clear()
        return requested
