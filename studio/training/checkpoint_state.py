"""The tensors of a training that change from step to step, as a checkpoint holds them."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer

from studio.peft import Attached
from studio.training import optimizer
from studio.training.ema import Average
from studio.training.run_io import checkpoint, rng_state


class State:
    """The adapter, its running average where there is one, the optimiser's memory, and random numbers."""

    def __init__(
        self,
        attached: Attached,
        average: Average | None,
        optimising: Optimizer,
        named: optimizer.Named,
        device: torch.device,
    ) -> None:
        self._attached, self._average, self._optimizer = attached, average, optimising
        self._named, self._device = named, device

    @property
    def adapter(self) -> dict[str, Tensor]:
        """The adapter that is measured and used: where there is an average, that."""
        return self._average.tensors if self._average else self._attached.state_dict()

    def tensors(self) -> dict[str, Tensor]:
        """All of it by names of the form ``section/name``."""
        sections: Mapping[str, Mapping[str, Tensor]] = {
            "adapter": self.adapter,
            "trained": self._attached.state_dict() if self._average else {},
            "optimizer": optimizer.tensors(self._optimizer, self._named),
            "random": rng_state.states(self._device),
        }
        return {f"{section}/{name}": tensor for section, named in sections.items() for name, tensor in named.items()}

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Put back what :meth:`tensors` gave."""
        self._attached.load_state_dict(saved.section("trained" if self._average else "adapter"))
        if self._average:
            self._average.restore(saved.section("adapter"))
        optimizer.restore(self._optimizer, self._named, saved.section("optimizer"))
        rng_state.restore(self._device, saved.section("random"))
