"""Loading of the trained model of a run directory."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from studio.backbones.safetensors_io import load_tensors
from studio.core.errors import StudioError
from studio.core.run import ADAPTER_FILE, Run
from studio.data.transforms.preprocessing import Preprocessing
from studio.peft import AdaptedModel
from studio.training.model import build_model
from studio.training.run_io import checkpoint

AdapterVersion = Literal["best", "last"]


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A trained model in evaluation mode on the CPU.

    ``weights_digest`` is the hash of its base weights.
    """

    model: AdaptedModel
    labels: list[str]
    preprocessing: Preprocessing
    weights_digest: str


def load_trained(run: Run, version: AdapterVersion = "best") -> TrainedModel:
    """Rebuild the model of a run with its best or last adapter.

    Raises StudioError if there is none or it does not fit.
    """
    tensors = _load_tensors(run.path, version)
    labels = run.labels
    with torch.random.fork_rng(devices=[]):
        built = build_model(run.recipe, len(labels), torch.device("cpu"))
    if built.weights_digest != _trained_weights_digest(run.path):
        raise StudioError(
            "other-weights",
            "Cannot load the run {run}: the backbone's weights have changed since its training. "
            "Restore the original weights.",
            run=run.path,
        )
    built.model.load_state_dict(tensors)
    return TrainedModel(built.model.eval(), labels, built.preprocessing, built.weights_digest)


def _trained_weights_digest(folder: Path) -> str:
    """Return the hash of the base weights that the run was trained on."""
    try:
        return str(json.loads((folder / "environment.json").read_text(encoding="utf-8"))["backbone"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudioError(
            "damaged-run", "The run {run} is damaged: {file} cannot be read.", run=folder, file="environment.json"
        ) from error


def _load_tensors(folder: Path, version: AdapterVersion) -> dict[str, Tensor]:
    if version == "best" and (folder / ADAPTER_FILE).exists():
        return load_tensors(folder / ADAPTER_FILE)
    reserves = [folder / "checkpoints" / "epoch"] if version == "last" else []
    saved = checkpoint.read(folder / "checkpoints" / version, *reserves)
    if saved is None:
        raise StudioError(
            "not-finished", "The run {run} has no {version} adapter yet. Train it first.", run=folder, version=version
        )
    return saved.section("adapter")
