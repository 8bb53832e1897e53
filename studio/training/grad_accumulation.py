"""The gradient of one batch, computed in as many parts as the memory needs; the step is the same."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.data.loader import Batch
from studio.peft import Attached
from studio.training.backend.precision import Precision, autocast
from studio.training.distributed.context import Averaging, Team
from studio.training.inputs import Network, to_device
from studio.training.run_io import rng_state
from studio.training.train_state import Progress

Objective = Callable[[Tensor, Tensor, tuple[Tensor, Tensor] | None], Tensor]
"""Logits (images, classes) in float32 and classes to their mean loss: see :mod:`studio.training.loss`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch came to: its loss, and the number of its images that were right."""

    loss: Tensor
    correct: int


class Gradients:
    """Computes the gradients of batches; ``say`` hears where the memory is too small for that at once."""

    def __init__(
        self,
        attached: Attached,
        network: Network,
        objective: Objective,
        team: Team,
        device: torch.device,
        precision: Precision,
        say: Callable[[str], None],
    ) -> None:
        self._attached, self._network, self._objective = attached, network, objective
        self._team, self._device, self._precision, self._say = team, device, precision, say
        self._parameters = list(attached.parameters())
        self._average = Averaging(team, self._parameters)
        self._checked = False

    def of(self, batch: Batch, images: int, progress: Progress) -> Outcome:
        """The gradient of a batch; where the memory is too small, in twice as many parts, down to single images.

        ``images`` are the team's together. The parts are kept in ``progress`` for the batches to come.
        """
        drawn = rng_state.states(self._device)
        while True:
            for parameter in self._parameters:
                parameter.grad = None
            outcome = None
            try:
                outcome = self._accumulated(batch, images, progress.parts)
            except torch.OutOfMemoryError:
                if progress.parts >= len(batch):
                    raise
            # Not inside the handler, as the exception keeps the tensors of the failed attempt alive.
            if not self._team.any([outcome is None])[0] and outcome is not None:
                self._average()
                return outcome
            self._divide(-(-images // self._team.size), progress)
            rng_state.restore(self._device, drawn)

    def _accumulated(self, batch: Batch, images: int, parts: int) -> Outcome:
        """The gradient of this process's share of a batch, so that the team's average is that of the mean loss."""
        if not len(batch):
            return Outcome(torch.zeros(()), 0)
        of = images / self._team.size
        found = accumulate(self._network, batch, parts, self._objective, self._device, self._precision, of)
        self._check_once()
        return found

    def _check_once(self) -> None:
        """After the first backward pass: an attachment that the backbone never calls is an error, not a silence."""
        if not self._checked:
            self._attached.require_used()
            self._checked = True

    def _divide(self, images: int, progress: Progress) -> None:
        """Compute batches in smaller parts from now on, and say so."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        tried = -(-images // progress.parts)
        progress.parts *= 2
        self._say(
            f"The memory is not enough for {tried} images at once; from now on each batch of {images} is computed in "
            f"{progress.parts} parts, which takes longer and comes to the same."
        )


def accumulate(
    network: Network,
    batch: Batch,
    parts: int,
    objective: Objective,
    device: torch.device,
    precision: Precision,
    images: float,
) -> Outcome:
    """Add the gradient of the batch's loss to the parameters, of one of ``parts`` parts after the other.

    The loss is the images' sum divided by ``images``: their number makes it the mean.
    """
    loss, correct = torch.zeros((), device=device), 0
    for part in batch.parts(parts):
        labels = to_device(part.labels, device)
        with autocast(device, precision):
            logits = network(to_device(part.inputs, device))
        share = objective(logits.float(), labels, _second(part, device)) * (len(labels) / images)
        share.backward()  # type: ignore[no-untyped-call]
        loss += share.detach()
        correct += int((logits.argmax(1) == labels).sum())
    return Outcome(loss, correct)


def _second(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """Of images made of two, the other one's class and the first one's share."""
    if batch.others is None or batch.shares is None:
        return None
    return to_device(batch.others, device), to_device(batch.shares, device)
