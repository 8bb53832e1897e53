"""The learning rate as a pure function of the step, so that there is no scheduler state to lose."""

import math

from studio.core.recipe import Training


def lr_factor(step: int, steps: int, training: Training) -> float:
    """Factor on the learning rate for the optimiser's step number ``step`` (from 0) out of ``steps``.

    It rises evenly over the warm-up and then follows half a cosine to zero, or stays. The first step is never at zero.
    One cycle rises along a cosine too, from a 25th, and ends at a ten-thousandth of that
    (https://arxiv.org/abs/1708.07120).
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
    """The factor where the rate is highest at the step ``peak``, which may lie between two."""
    if step < peak:
        return _cosine_interpolate(1 / 25, 1.0, step / peak)
    return _cosine_interpolate(1.0, 1 / 25e4, (step - peak) / ((last - peak) or 1))


def _cosine_interpolate(begin: float, end: float, fraction: float) -> float:
    return end + (begin - end) * 0.5 * (1 + math.cos(math.pi * fraction))
