"""Telling from its curves that a network begins to learn its training images by heart."""

from collections.abc import Sequence
from dataclasses import dataclass

LossPoint = tuple[float, float]
"""A step, and the loss there."""

PATIENCE = 2
"""So many validations in a row must be worse than the best one: one alone may be chance."""
MIN_RISE = 0.02
"""And the last of them by this share: less cannot be seen in a curve."""


@dataclass(frozen=True, slots=True)
class OverfitPoint:
    """The validation at ``step`` was the best; since then its loss rose by the share ``rise``, and training's fell."""

    step: float
    rise: float


def find_overfit_point(training: Sequence[LossPoint], validation: Sequence[LossPoint]) -> OverfitPoint | None:
    """Where the validation loss has turned while the training loss goes on falling; None where it has not.

    ``training`` holds the mean training loss of each epoch, ``validation`` the loss of each validation, in step order.
    """
    if len(validation) <= PATIENCE or len(training) <= PATIENCE:
        return None
    best = min(range(len(validation)), key=lambda i: validation[i][1])
    step, lowest = validation[best]
    rise = validation[-1][1] / lowest - 1 if lowest > 0 else 0.0
    before = [loss for at, loss in training if at <= step]
    waited = len(validation) - 1 - best
    falling = bool(before) and training[-1][1] < before[-1]
    return OverfitPoint(step, rise) if waited >= PATIENCE and rise >= MIN_RISE and falling else None
