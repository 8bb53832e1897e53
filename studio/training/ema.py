"""A running average of the adapter, which often answers better than its last state (https://arxiv.org/abs/1306.0294)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from studio.peft import Attached


class Average:
    """Follows the trainable tensors of an adapter; what does not train is taken as it is."""

    def __init__(self, attached: Attached, decay: float) -> None:
        self._attached, self._decay = attached, decay
        self._trained = {name for name, _ in attached.named_parameters()}
        self.tensors = _copied(attached.state_dict())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the adapter after the step number ``step`` (from 0); the first steps weigh more than later ones."""
        kept = min(self._decay, (1 + step) / (10 + step))
        for name, tensor in self._attached.state_dict().items():
            if name in self._trained:
                self.tensors[name].lerp_(tensor, 1 - kept)
            else:
                self.tensors[name].copy_(tensor)

    def restore(self, saved: Mapping[str, Tensor]) -> None:
        """Put back ``tensors`` as they were saved."""
        for name, tensor in self.tensors.items():
            tensor.copy_(saved[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the backbone answer with the average for a while."""
        trained = _copied(self._attached.state_dict())
        self._attached.load_state_dict(self.tensors)
        try:
            yield
        finally:
            self._attached.load_state_dict(trained)


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}
