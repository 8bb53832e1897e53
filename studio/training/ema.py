"""Exponential moving average (EMA) of the adapter weights.

It is often more accurate than the last step. See https://arxiv.org/abs/1306.0294.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from studio.peft import AdaptedModel


class ModelEma:
    """The EMA of the trainable adapter tensors; other tensors are copied."""

    def __init__(self, model: AdaptedModel, decay: float) -> None:
        self._model, self._decay = model, decay
        self._trainable_names = {name for name, _ in model.named_parameters()}
        self.tensors = _clone_tensors(model.state_dict())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update with the adapter after step ``step`` (from 0).

        The decay is lower in the first steps.
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, tensor in self._model.state_dict().items():
            if name in self._trainable_names:
                self.tensors[name].lerp_(tensor, 1 - decay)
            else:
                self.tensors[name].copy_(tensor)

    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        """Load tensors that were saved from ``tensors``."""
        for name, tensor in self.tensors.items():
            tensor.copy_(saved[name])

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Run the block with the EMA in place of the trained weights."""
        trained = _clone_tensors(self._model.state_dict())
        self._model.load_state_dict(self.tensors)
        try:
            yield
        finally:
            self._model.load_state_dict(trained)


def _clone_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}
