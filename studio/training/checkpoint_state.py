"""The changing tensors of a training run, and its checkpoints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from studio.core.errors import StudioError
from studio.core.messages import N_n
from studio.core.recipe import Training
from studio.core.run import ADAPTER_FILE
from studio.peft import AdaptedModel
from studio.training import optimizer
from studio.training.ema import ModelEma
from studio.training.run_io import checkpoint, rng_state
from studio.training.train_state import TrainState

CheckpointName = Literal["last", "epoch", "best"]


class CheckpointState:
    """Adapter, EMA if there is one, optimizer state and random generators."""

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
        """The adapter that is evaluated and exported: the EMA if there is one."""
        return self._ema.tensors if self._ema else self._model.state_dict()

    def state_tensors(self) -> dict[str, Tensor]:
        """Return all tensors by names of the form ``section/name``."""
        sections: Mapping[str, Mapping[str, Tensor]] = {
            "adapter": self.adapter_tensors,
            "trained": self._model.state_dict() if self._ema else {},
            "optimizer": optimizer.state_tensors(self._optimizer, self._named_parameters),
            "random": rng_state.get_rng_state(self._device),
        }
        return {f"{section}/{name}": tensor for section, named in sections.items() for name, tensor in named.items()}

    def load_state_tensors(self, saved: checkpoint.Checkpoint) -> None:
        """Load the tensors of :meth:`state_tensors`."""
        self._model.load_state_dict(saved.section("trained" if self._ema else "adapter"))
        if self._ema:
            self._ema.load_state_dict(saved.section("adapter"))
        optimizer.load_state_tensors(self._optimizer, self._named_parameters, saved.section("optimizer"))
        rng_state.set_rng_state(self._device, saved.section("random"))

    def save(self, run_folder: Path, name: CheckpointName, values: Mapping[str, Any]) -> None:
        """Write a checkpoint.

        "best" holds the adapter alone, which also becomes the adapter of the run.
        """
        folder = run_folder / "checkpoints" / name
        if name != "best":
            checkpoint.write(folder, self.state_tensors(), values)
            return
        adapter = self.adapter_tensors
        checkpoint.write(folder, {f"adapter/{key}": tensor for key, tensor in adapter.items()}, values)
        checkpoint.write_tensors(run_folder / ADAPTER_FILE, adapter, {"format": "pt"})


def read_resumable(run_folder: Path, settings: Training) -> checkpoint.Checkpoint | None:
    """Return the checkpoint to resume from; None if the run has none.

    Raise StudioError if the run is complete.
    """
    saved = checkpoint.read(run_folder / "checkpoints" / "last", run_folder / "checkpoints" / "epoch")
    train_state = TrainState.from_json(saved.values["progress"]) if saved else TrainState()
    if train_state.epoch >= settings.epochs:
        raise StudioError(
            "run-complete",
            N_n(
                "The run is complete with {n} epoch. Increase the number of epochs to continue.",
                "The run is complete with {n} epochs. Increase the number of epochs to continue.",
                train_state.epoch,
            ),
        )
    if train_state.patience_exhausted(settings.patience):
        raise StudioError(
            "run-complete",
            "The run is complete: no epoch after {best} was better. Train a new run with more patience.",
            best=train_state.best_epoch,
        )
    return saved


def read_epoch(run_folder: Path) -> checkpoint.Checkpoint | None:
    """Return the state at the start of the epoch; None if the run has none."""
    # A run of the first version has only "best" before the end of its first epoch; later ones hold no state there.
    folder = run_folder / "checkpoints"
    saved = checkpoint.read(folder / "epoch") or checkpoint.read(folder / "best")
    return saved if saved and saved.section("random") else None
