"""The learning rate as a pure function of the step, so that there is no scheduler state to lose."""

import math

from studio.core.recipe import Training


def rate_factor(step: int, steps: int, training: Training) -> float:
    """Factor on the learning rate for the optimiser's step number ``step`` (from 0) out of ``steps``.

    It rises evenly over the warm-up and then follows half a cosine to zero, or stays. The first step is never at zero.
    """
    warmup = round(training.warmup * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if training.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
