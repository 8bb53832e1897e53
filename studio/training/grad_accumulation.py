"""The gradient of one batch, computed in as many parts as the memory needs; the step is the same."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.data.loader import Batch
from studio.peft import AdaptedModel
from studio.training.backend.precision import Precision, autocast
from studio.training.distributed.context import DistributedContext, GradientSync
from studio.training.inputs import Network, to_device
from studio.training.run_io import rng_state
from studio.training.train_state import TrainState

LossFn = Callable[[Tensor, Tensor, tuple[Tensor, Tensor] | None], Tensor]
"""Logits (images, classes) in float32 and classes to their mean loss: see :mod:`studio.training.loss`."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a batch came to: its loss, and the number of its images that were right."""

    loss: Tensor
    correct: int


class GradientAccumulator:
    """Computes the gradients of batches; ``warn`` hears where the memory is too small for that at once."""

    def __init__(
        self,
        model: AdaptedModel,
        network: Network,
        loss_fn: LossFn,
        distributed: DistributedContext,
        device: torch.device,
        precision: Precision,
        warn: Callable[[str], None],
    ) -> None:
        self._model, self._network, self._loss_fn = model, network, loss_fn
        self._distributed, self._device, self._precision, self._warn = distributed, device, precision, warn
        self._parameters = list(model.parameters())
        self._sync_gradients = GradientSync(distributed, self._parameters)
        self._adapters_checked = False

    def backward(self, batch: Batch, num_images: int, train_state: TrainState) -> BatchResult:
        """The gradient of a batch; where the memory is too small, in twice as many parts, down to single images.

        ``num_images`` are the team's together. The parts are kept in ``train_state`` for the batches to come.
        """
        drawn = rng_state.get_rng_state(self._device)
        while True:
            for parameter in self._parameters:
                parameter.grad = None
            outcome = None
            try:
                outcome = self._backward_local(batch, num_images, train_state.parts)
            except torch.OutOfMemoryError:
                if train_state.parts >= len(batch):
                    raise
            # Not inside the handler, as the exception keeps the tensors of the failed attempt alive.
            if not self._distributed.any_rank([outcome is None])[0] and outcome is not None:
                self._sync_gradients()
                return outcome
            self._split_further(-(-num_images // self._distributed.world_size), train_state)
            rng_state.set_rng_state(self._device, drawn)

    def _backward_local(self, batch: Batch, num_images: int, parts: int) -> BatchResult:
        """The gradient of this process's share of a batch, so that the team's average is that of the mean loss."""
        if not len(batch):
            return BatchResult(torch.zeros(()), 0)
        of = num_images / self._distributed.world_size
        found = accumulate_gradients(self._network, batch, parts, self._loss_fn, self._device, self._precision, of)
        self._check_adapters_used()
        return found

    def _check_adapters_used(self) -> None:
        """After the first backward pass: an attachment that the backbone never calls is an error, not a silence."""
        if not self._adapters_checked:
            self._model.check_all_used()
            self._adapters_checked = True

    def _split_further(self, num_images: int, train_state: TrainState) -> None:
        """Compute batches in smaller parts from now on, and say so."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        tried = -(-num_images // train_state.parts)
        train_state.parts *= 2
        self._warn(
            f"The memory is not enough for {tried} images at once; from now on each batch of {num_images} is computed in "
            f"{train_state.parts} parts, which takes longer and comes to the same."
        )


def accumulate_gradients(
    network: Network,
    batch: Batch,
    parts: int,
    loss_fn: LossFn,
    device: torch.device,
    precision: Precision,
    num_images: float,
) -> BatchResult:
    """Add the gradient of the batch's loss to the parameters, of one of ``parts`` parts after the other.

    The loss is the images' sum divided by ``num_images``: their number makes it the mean.
    """
    loss, correct = torch.zeros((), device=device), 0
    for part in batch.microbatches(parts):
        labels = to_device(part.labels, device)
        with autocast(device, precision):
            logits = network(to_device(part.inputs, device))
        share = loss_fn(logits.float(), labels, _mix_targets(part, device)) * (len(labels) / num_images)
        share.backward()  # type: ignore[no-untyped-call]
        loss += share.detach()
        correct += int((logits.argmax(1) == labels).sum())
    return BatchResult(loss, correct)


def _mix_targets(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """Of images made of two, the other one's class and the first one's share."""
    if batch.mix_targets is None or batch.mix_lambdas is None:
        return None
    return to_device(batch.mix_targets, device), to_device(batch.mix_lambdas, device)
