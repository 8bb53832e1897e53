"""Gradient of a batch, accumulated over as many micro-batches as the memory needs."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.core.messages import N_, Message
from studio.data.loader import Batch
from studio.peft import AdaptedModel
from studio.training.backend.precision import Precision, autocast
from studio.training.distributed.context import DistributedContext, GradientSync
from studio.training.inputs import Network, to_device
from studio.training.run_io import rng_state
from studio.training.train_state import TrainState

LossFn = Callable[[Tensor, Tensor, tuple[Tensor, Tensor] | None], Tensor]
"""Maps float32 logits (N, C), class indices (N) and mixed targets to the mean loss."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Loss and correct predictions of a batch."""

    loss: Tensor
    correct: int


class GradientAccumulator:
    """Computes the gradients of batches; ``warn`` is told of a lack of memory."""

    def __init__(
        self,
        model: AdaptedModel,
        network: Network,
        loss_fn: LossFn,
        distributed: DistributedContext,
        device: torch.device,
        precision: Precision,
        warn: Callable[[Message], None],
    ) -> None:
        self._model, self._network, self._loss_fn = model, network, loss_fn
        self._distributed, self._device, self._precision, self._warn = distributed, device, precision, warn
        self._parameters = list(model.parameters())
        self._sync_gradients = GradientSync(distributed, self._parameters)
        self._adapters_checked = False

    def forward_backward(self, batch: Batch, num_images: int, train_state: TrainState) -> BatchResult:
        """Compute the gradient of a batch of ``num_images`` over all processes.

        After an out-of-memory error there are twice as many micro-batches, down to single images. Their number stays in
        ``train_state`` for later batches.
        """
        generators = rng_state.get_rng_state(self._device)
        while True:
            for parameter in self._parameters:
                parameter.grad = None
            result = None
            try:
                result = self._forward_backward_local(batch, num_images, train_state.parts)
            except torch.OutOfMemoryError:
                if train_state.parts >= len(batch):
                    raise
            # Not inside the handler, because the exception keeps the tensors of the failed attempt alive.
            if not self._distributed.any_rank([result is None])[0] and result is not None:
                self._sync_gradients()
                return result
            self._split_further(-(-num_images // self._distributed.world_size), train_state)
            rng_state.set_rng_state(self._device, generators)

    def _forward_backward_local(self, batch: Batch, num_images: int, parts: int) -> BatchResult:
        """Compute the gradient of this shard, scaled for averaging over processes."""
        if not len(batch):
            return BatchResult(torch.zeros(()), 0)
        divisor = num_images / self._distributed.world_size
        result = accumulate_gradients(
            self._network, batch, parts, self._loss_fn, self._device, self._precision, divisor
        )
        self._check_adapters_used()
        return result

    def _check_adapters_used(self) -> None:
        """Raise StudioError if the first pass never called an attachment."""
        if not self._adapters_checked:
            self._model.check_all_used()
            self._adapters_checked = True

    def _split_further(self, num_images: int, train_state: TrainState) -> None:
        """Double the number of micro-batches, with a warning."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        tried = -(-num_images // train_state.parts)
        train_state.parts *= 2
        self._warn(
            N_(
                "Out of memory at {tried} images. Each batch of {images} is now split into {parts} micro-batches.",
                tried=tried,
                images=num_images,
                parts=train_state.parts,
            )
        )


def accumulate_gradients(
    network: Network,
    batch: Batch,
    parts: int,
    loss_fn: LossFn,
    device: torch.device,
    precision: Precision,
    divisor: float,
) -> BatchResult:
    """Run forward and backward on each micro-batch, and sum the gradients.

    The loss is the sum over the images divided by ``divisor``; with their number it is the mean.
    """
    total_loss, correct = torch.zeros((), device=device), 0
    for microbatch in batch.microbatches(parts):
        targets = to_device(microbatch.labels, device)
        with autocast(device, precision):
            logits = network(to_device(microbatch.inputs, device))
        loss = loss_fn(logits.float(), targets, _mix_targets(microbatch, device)) * (len(targets) / divisor)
        loss.backward()  # type: ignore[no-untyped-call]
        total_loss += loss.detach()
        correct += int((logits.argmax(1) == targets).sum())
    return BatchResult(total_loss, correct)


def _mix_targets(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """Return second classes and first shares for mixup, None without it."""
    if batch.mix_targets is None or batch.mix_lambdas is None:
        return None
    return to_device(batch.mix_targets, device), to_device(batch.mix_lambdas, device)
