"""Learning rate schedule as a pure function of the step."""

import math

from studio.core.recipe import Training


def lr_factor(step: int, steps: int, training: Training) -> float:
    """Return the learning rate factor of step ``step`` (from 0) of ``steps``.

    It is never 0 at step 0. Linear warmup, then cosine decay to 0 or a constant. "one-cycle"
    (https://arxiv.org/abs/1708.07120) rises along a cosine from 1/25, and ends at 1/25e4, as torch's OneCycleLR.
    """
    if training.schedule == "one-cycle":
        return _one_cycle(step, steps - 1, max(0.0, training.warmup * steps - 1))
    warmup = round(training.warmup * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if training.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _one_cycle(step: int, last: int, peak: float) -> float:
    """Return the one-cycle factor, highest at ``peak``, maybe between two steps."""
    if step < peak:
        return _cosine_interpolate(1 / 25, 1.0, step / peak)
    return _cosine_interpolate(1.0, 1 / 25e4, (step - peak) / ((last - peak) or 1))


def _cosine_interpolate(begin: float, end: float, fraction: float) -> float:
    return end + (begin - end) * 0.5 * (1 + math.cos(math.pi * fraction))
