"""The tensors of a training that change from step to step, as a checkpoint holds them."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer

from studio.peft import AdaptedModel
from studio.training import optimizer
from studio.training.ema import ModelEma
from studio.training.run_io import checkpoint, rng_state


class CheckpointState:
    """The adapter, its running average where there is one, the optimiser's memory, and random numbers."""

    def __init__(
        self,
        model: AdaptedModel,
        ema: ModelEma | None,
        torch_optimizer: Optimizer,
        named_parameters: optimizer.NamedParameters,
        device: torch.device,
    ) -> None:
        self._model, self._ema, self._optimizer = model, ema, torch_optimizer
        self._named_parameters, self._device = named_parameters, device

    @property
    def adapter_tensors(self) -> dict[str, Tensor]:
        """The adapter that is measured and used: where there is an average, that."""
        return self._ema.tensors if self._ema else self._model.state_dict()

    def state_tensors(self) -> dict[str, Tensor]:
        """All of it by names of the form ``section/name``."""
        sections: Mapping[str, Mapping[str, Tensor]] = {
            "adapter": self.adapter_tensors,
            "trained": self._model.state_dict() if self._ema else {},
            "optimizer": optimizer.state_tensors(self._optimizer, self._named_parameters),
            "random": rng_state.get_rng_state(self._device),
        }
        return {f"{section}/{name}": tensor for section, named in sections.items() for name, tensor in named.items()}

    def load_state_tensors(self, saved: checkpoint.Checkpoint) -> None:
        """Put back what :meth:`state_tensors` gave."""
        self._model.load_state_dict(saved.section("trained" if self._ema else "adapter"))
        if self._ema:
            self._ema.load_state_dict(saved.section("adapter"))
        optimizer.load_state_tensors(self._optimizer, self._named_parameters, saved.section("optimizer"))
        rng_state.set_rng_state(self._device, saved.section("random"))
