"""Smoothing of noisy curves, as TensorBoard does it: an exponential moving average without its start-up bias."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_MIN_POWER = 1e-12
"""Powers of the weight below this are not seen in any digit that is drawn."""


def ema_smooth(values: Sequence[float] | FloatArray, weight: float) -> FloatArray:
    """The average of each value with all before it, which count by ``weight`` in [0, 1) to the power of their distance.

    The average is divided by the weight that it has gathered, so that the first points are not drawn to zero. What is
    not a number stays as it is and counts for nothing.
    """
    given = np.asarray(values, np.float64)
    if weight <= 0:
        return given.copy()
    real = np.isfinite(given)
    found = given.copy()
    average = _biased_ema(given[real], weight)
    young = average[: int(np.log(_MIN_POWER) / np.log(weight))]  # later than that, all the weight there is is gathered
    young /= 1 - np.power(weight, np.arange(1, len(young) + 1))
    found[real] = average
    return found


def _biased_ema(values: FloatArray, weight: float) -> FloatArray:
    """The biased average, for pieces of equal length at once: in Python alone a million points take half a second."""
    length = max(1, min(len(values), int(np.log(_MIN_POWER) / np.log(weight))))
    pieces = np.pad(values, (0, -len(values) % length)).reshape(-1, length)
    powers = np.power(weight, np.arange(1, length + 1))
    within = (1 - weight) * powers * np.cumsum(pieces / powers, axis=1)
    before, carried = 0.0, np.empty(len(pieces))
    for number, end in enumerate(within[:, -1]):
        carried[number] = before
        before = before * powers[-1] + end
    return (within + carried[:, None] * powers).ravel()[: len(values)]
