"""The gradient of one batch, computed in as many parts as the memory needs; the step is the same."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.data.loader import Batch
from studio.training.feed import Network, to_device
from studio.training.precision import Precision, autocast

Objective = Callable[[Tensor, Tensor, tuple[Tensor, Tensor] | None], Tensor]
"""Logits (images, classes) in float32 and classes to their mean loss: see :mod:`studio.training.objective`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch came to: its loss, and the number of its images that were right."""

    loss: Tensor
    correct: int


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
