"""Smoothing as in TensorBoard: bias-corrected exponential moving average (EMA)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_MIN_POWER = 1e-12
"""Powers of the weight below this are invisible in a plot."""


def ema_smooth(values: Sequence[float] | FloatArray, weight: float) -> FloatArray:
    """Return the EMA of ``values`` with the decay ``weight`` in [0, 1).

    The average is divided by its total weight, so that the first points are not drawn to zero. Values that are not
    finite stay as they are and are skipped.
    """
    given = np.asarray(values, np.float64)
    if weight <= 0:
        return given.copy()
    real = np.isfinite(given)
    smoothed = given.copy()
    average = _biased_ema(given[real], weight)
    start = average[: int(np.log(_MIN_POWER) / np.log(weight))]  # later, the total weight is 1
    start /= 1 - np.power(weight, np.arange(1, len(start) + 1))
    smoothed[real] = average
    return smoothed


def _biased_ema(values: FloatArray, weight: float) -> FloatArray:
    """Return the biased average, computed in chunks of equal length.

    A Python loop takes 0.5 s for a million points.
    """
    length = max(1, min(len(values), int(np.log(_MIN_POWER) / np.log(weight))))
    chunks = np.pad(values, (0, -len(values) % length)).reshape(-1, length)
    powers = np.power(weight, np.arange(1, length + 1))
    within = (1 - weight) * powers * np.cumsum(chunks / powers, axis=1)
    before, starts = 0.0, np.empty(len(chunks))
    for number, end in enumerate(within[:, -1]):
        starts[number] = before
        before = before * powers[-1] + end
    return (within + starts[:, None] * powers).ravel()[: len(values)]
