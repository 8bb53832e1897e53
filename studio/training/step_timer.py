"""Times of steps, and of waiting for images within them."""

import time
from collections.abc import Sequence

from studio.data.loader import Loader


class StepTimer:
    """Measures the time between laps, and the waiting for ``loaders`` in it."""

    def __init__(self, loaders: Sequence[Loader]) -> None:
        self._loaders = loaders
        self._last_time, self._last_wait = time.monotonic(), 0.0

    def lap(self) -> tuple[float, float]:
        """Return the seconds since the last lap, and those spent waiting for images."""
        now, total_wait = time.monotonic(), sum(loader.waited for loader in self._loaders)
        seconds, waited = now - self._last_time, total_wait - self._last_wait
        self._last_time, self._last_wait = now, total_wait
        return seconds, waited
