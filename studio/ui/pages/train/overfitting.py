"""Detection of overfitting from the loss curves."""

from collections.abc import Sequence
from dataclasses import dataclass

LossPoint = tuple[float, float]
"""A step and the loss at it."""

PATIENCE = 2
"""Number of consecutive validations that must be worse than the best one: a single one may be chance."""
MIN_RISE = 0.02
"""Share by which the last validation loss must exceed the lowest: less is invisible in a curve."""


@dataclass(frozen=True, slots=True)
class OverfitPoint:
    """Step of the best validation, and the share by which its loss rose since."""

    step: float
    rise: float


def find_overfit_point(training: Sequence[LossPoint], validation: Sequence[LossPoint]) -> OverfitPoint | None:
    """Return where the validation loss turned while training still improves.

    None if it does not.

    ``training`` holds the mean training loss of each epoch, ``validation`` the loss of each validation, in step order.
    """
    if len(validation) <= PATIENCE or len(training) <= PATIENCE:
        return None
    best = min(range(len(validation)), key=lambda i: validation[i][1])
    step, lowest = validation[best]
    rise = validation[-1][1] / lowest - 1 if lowest > 0 else 0.0
    losses_until_best = [loss for at, loss in training if at <= step]
    validations_since = len(validation) - 1 - best
    falling = bool(losses_until_best) and training[-1][1] < losses_until_best[-1]
    overfitting = validations_since >= PATIENCE and rise >= MIN_RISE and falling
    return OverfitPoint(step, rise) if overfitting else None
