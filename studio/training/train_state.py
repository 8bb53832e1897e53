"""Position and best result of a run: a checkpoint without its tensors."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from studio.core import events
from studio.core.messages import N_, Message
from studio.training.metrics import Metrics

MAX_SKIPPED_STEPS = 3
"""Steps in a row without a finite loss after which training rolls back."""
MAX_ROLLBACKS = 3
"""Times that training rolls back before it fails."""

DATA_BOUND_FRACTION, MIN_EPOCH_SECONDS = 0.2, 5.0
"""A warning is due if this share of an epoch, of at least so many seconds, was spent waiting for images."""


@dataclass(slots=True)
class TrainState:
    """Epochs, batches of the current epoch and steps done, with sums.

    ``loss_sum``, ``correct`` and ``images`` are sums over the current epoch. ``skipped`` counts the last steps in a row
    without a finite loss. ``best_loss`` is None before an evaluation. ``seconds`` and ``waited`` (for images) are of
    the epoch, ``total_seconds`` and ``total_waited`` of the run. ``parts`` is the number of micro-batches in a batch.
    ``slowing`` is the factor on the learning rate after ``rollbacks`` roll backs.
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
        """Rebuild from :meth:`as_json` of any version.

        Unknown keys are ignored; missing ones get their defaults.
        """
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in raw.items() if name in known})

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    def add_batch(self, loss: float, correct: int, images: int) -> None:
        """Add a batch to the epoch; one without a finite loss counts as skipped."""
        if math.isfinite(loss):
            self.skipped = 0
            self.loss_sum += loss * images
            self.correct += correct
            self.images += images
        else:
            self.skipped += 1

    @property
    def diverging(self) -> bool:
        """Whether so many steps in a row were skipped that training must roll back."""
        return self.skipped >= MAX_SKIPPED_STEPS

    @property
    def can_roll_back(self) -> bool:
        """Whether the limit of roll backs is not reached."""
        return self.rollbacks < MAX_ROLLBACKS

    def halve_lr(self, previous: "TrainState") -> None:
        """Halve the learning rate of ``previous``, the state that diverged.

        Call it on the state that training rolled back to.
        """
        self.skipped, self.parts, self.total_seconds = 0, previous.parts, previous.total_seconds
        self.total_waited = previous.total_waited
        self.slowing, self.rollbacks = previous.slowing / 2, previous.rollbacks + 1

    def add_step_time(self, seconds: float, wait_seconds: float = 0.0) -> None:
        """Add the seconds of a step, and those of them spent waiting for images."""
        self.seconds += seconds
        self.waited += wait_seconds
        self.add_idle_time(seconds, wait_seconds)

    def add_idle_time(self, seconds: float, wait_seconds: float = 0.0) -> None:
        """Add seconds outside a step, such as those of an evaluation."""
        self.total_seconds += seconds
        self.total_waited += wait_seconds

    def data_bound_warning(self) -> Message | None:
        """Return a warning if much of the epoch was spent waiting for images.

        Only the second epoch counts, because the first one fills caches.
        """
        share = self.waited / max(self.seconds, 1e-9)
        if self.epoch != 1 or share < DATA_BOUND_FRACTION or self.seconds < MIN_EPOCH_SECONDS:
            return None
        return N_(
            "{share} of the epoch was spent waiting for images. Smaller files, a faster disk or fixed views help.",
            share=f"{share:.0%}",
        )

    def patience_exhausted(self, patience: int) -> bool:
        """Return whether none of the last ``patience`` epochs was the best.

        0 disables early stopping.
        """
        return bool(patience) and self.epoch - self.best_epoch >= patience

    def early_stop_message(self, epochs: int, patience: int) -> Message | None:
        """Return a warning if training stops before its last epoch."""
        if self.epoch >= epochs or not self.patience_exhausted(patience):
            return None
        if not self.best_epoch:
            return N_(
                "Early stopping after {epoch} of {epochs} epochs: no epoch was better than the untrained adapter.",
                epoch=self.epoch,
                epochs=epochs,
            )
        return N_(
            "Early stopping after {epoch} of {epochs} epochs: no epoch after {best} was better.",
            epoch=self.epoch,
            epochs=epochs,
            best=self.best_epoch,
        )

    def finished_event(self, reason: str) -> events.Finished:
        """Return the end of the run: ``reason`` is "completed" or "stopped"."""
        return events.Finished(
            step=self.step,
            reason=reason,
            seconds=self.total_seconds,
            best_accuracy=self.best_accuracy,
            best_epoch=self.best_epoch,
            waited=self.total_waited,
        )

    def next_epoch(self) -> None:
        """Advance to the first batch of the next epoch."""
        self.epoch += 1
        self.batch = self.correct = self.images = 0
        self.loss_sum = self.seconds = self.waited = 0.0

    def update_best(self, metrics: Metrics, epoch: int, by: Literal["accuracy", "loss"] = "accuracy") -> bool:
        """Record ``metrics`` if it is the best so far, and return whether it is.

        The order is by accuracy and then loss, or by loss alone.
        """
        if not math.isfinite(metrics.loss):
            return False
        if self.best_loss is not None:
            now, best = (metrics.accuracy, -metrics.loss), (self.best_accuracy, -self.best_loss)
            if (now <= best) if by == "accuracy" else (now[1] <= best[1]):
                return False
        self.best_accuracy, self.best_loss, self.best_epoch = metrics.accuracy, metrics.loss, epoch
        return True
