"""Where a training stands, and the best that it has had; everything that a checkpoint needs besides tensors."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from studio.training.metrics import Metrics

MAX_SKIPPED_STEPS = 3
"""After this many steps in a row whose loss is not a number the training goes back."""
MAX_ROLLBACKS = 3
"""A training goes back this often; then it ends."""

DATA_BOUND_FRACTION, MIN_EPOCH_SECONDS = 0.2, 5.0
"""Waiting for images is said where it takes this share of an epoch of at least so many seconds."""


@dataclass(slots=True)
class TrainState:
    """Position as epochs done, batches done in the epoch after them, and optimiser steps done; then this epoch's sums.

    ``skipped`` counts the last steps in a row whose loss was not a number; ``best_loss`` is None before an evaluation.
    ``waited`` are the seconds in which nothing could be done for want of images.
    ``parts`` is the number of parts that a batch is computed in; ``slowing`` the factor on the learning rate after
    ``rollbacks`` times of going back.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    images: int = 0
    seconds: float = 0.0
    total_seconds: float = 0.0
    waited: float = 0.0
    total_waited: float = 0.0
    skipped: int = 0
    best_accuracy: float = 0.0
    best_loss: float | None = None
    best_epoch: int = 0
    parts: int = 1
    slowing: float = 1.0
    rollbacks: int = 0

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Rebuild from :meth:`as_json` of this or another version: unknown keys are left out, missing ones default."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in raw.items() if name in known})

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def add_batch(self, loss: float, correct: int, images: int) -> None:
        """Add a batch to the epoch's sums; a loss that is not a number is left out and counted as skipped."""
        if math.isfinite(loss):
            self.skipped = 0
            self.loss_sum += loss * images
            self.correct += correct
            self.images += images
        else:
            self.skipped += 1

    @property
    def diverging(self) -> bool:
        """Whether so many steps were skipped that going on would lead nowhere."""
        return self.skipped >= MAX_SKIPPED_STEPS

    @property
    def can_roll_back(self) -> bool:
        """Whether going back has not been tried often enough yet."""
        return self.rollbacks < MAX_ROLLBACKS

    def halve_lr(self, previous: "TrainState") -> None:
        """Just put back from a checkpoint: go on at half the rate of ``previous``, where the training did not work."""
        self.skipped, self.parts, self.total_seconds = 0, previous.parts, previous.total_seconds
        self.total_waited = previous.total_waited
        self.slowing, self.rollbacks = previous.slowing / 2, previous.rollbacks + 1

    def add_step_time(self, seconds: float, wait_seconds: float = 0.0) -> None:
        """Count the time of a step, of which so much was spent waiting for images."""
        self.seconds += seconds
        self.waited += wait_seconds
        self.add_idle_time(seconds, wait_seconds)

    def add_idle_time(self, seconds: float, wait_seconds: float = 0.0) -> None:
        """Count time that is no step's."""
        self.total_seconds += seconds
        self.total_waited += wait_seconds

    def data_bound_warning(self) -> str:
        """A sentence where, after images were read once, much of an epoch went by waiting for them; else empty."""
        share = self.waited / max(self.seconds, 1e-9)
        if self.epoch != 1 or share < DATA_BOUND_FRACTION or self.seconds < MIN_EPOCH_SECONDS:
            return ""
        return (
            f"{share:.0%} of an epoch is spent waiting for images; smaller image files, a faster disk, or "
            f"training.fixed_views where images are changed at random make it faster."
        )

    def patience_exhausted(self, patience: int) -> bool:
        """Whether the last ``patience`` epochs, if that is any, brought nothing better."""
        return bool(patience) and self.epoch - self.best_epoch >= patience

    def early_stop_message(self, epochs: int, patience: int) -> str:
        """A sentence where the training ends before its last epoch for want of patience; else empty."""
        if self.epoch >= epochs or not self.patience_exhausted(patience):
            return ""
        best = f"epoch {self.best_epoch}" if self.best_epoch else "the state before the first epoch"
        return (
            f"Nothing was better than {best} for {patience} epochs, so the training ends after {self.epoch} of "
            f"{epochs} epochs with that kept; raise training.patience to let it go on."
        )

    def next_epoch(self) -> None:
        """Go on to the first batch of the next epoch."""
        self.epoch += 1
        self.batch = self.correct = self.images = 0
        self.loss_sum = self.seconds = self.waited = 0.0

    def update_best(self, metrics: Metrics, epoch: int, by: Literal["accuracy", "loss"] = "accuracy") -> bool:
        """Whether ``metrics`` is the best so far, by accuracy and then loss, or by loss; if so it is kept as that."""
        if not math.isfinite(metrics.loss):
            return False
        if self.best_loss is not None:
            now, best = (metrics.accuracy, -metrics.loss), (self.best_accuracy, -self.best_loss)
            if (now <= best) if by == "accuracy" else (now[1] <= best[1]):
                return False
        self.best_accuracy, self.best_loss, self.best_epoch = metrics.accuracy, metrics.loss, epoch
        return True
