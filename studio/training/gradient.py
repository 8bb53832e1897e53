"""The gradient of one batch, computed in as many parts as the memory needs; the step is the same."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.data.loader import Batch
from studio.training.feed import Network, to_device
from studio.training.precision import Precision, autocast

Objective = Callable[[Tensor, Tensor], Tensor]
"""Logits (images, classes) in float32 and class indices (images) to their mean loss."""


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
    for inputs, classes in zip(batch.inputs.chunk(parts), batch.labels.chunk(parts), strict=True):
        labels = to_device(classes, device)
        with autocast(device, precision):
            logits = network(to_device(inputs, device))
        share = objective(logits.float(), labels) * (len(labels) / images)
        share.backward()  # type: ignore[no-untyped-call]
        loss += share.detach()
        correct += int((logits.argmax(1) == labels).sum())
    return Outcome(loss, correct)
