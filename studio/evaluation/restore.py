"""From a run directory back to the live model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from studio.backbones.safetensors_io import load_tensors
from studio.core.errors import StudioError
from studio.core.run import Run
from studio.data.transforms.preprocessing import Preprocessing
from studio.peft import Attached
from studio.training.model import build_model
from studio.training.run_io import checkpoint
from studio.training.trainer import ADAPTER_FILE

Which = Literal["best", "last"]


@dataclass(frozen=True, slots=True)
class Restored:
    """A trained backbone in evaluation mode on the CPU. ``identity`` is the hash of its base weights."""

    attached: Attached
    labels: list[str]
    preprocessing: Preprocessing
    identity: str


def attached(run: Run, which: Which = "best") -> Restored:
    """Rebuild the model of a run with its best or last adapter; StudioError where there is none or it does not fit."""
    tensors = _tensors(run.path, which)
    labels = run.labels
    with torch.random.fork_rng(devices=[]):
        built = build_model(run.recipe, len(labels), torch.device("cpu"))
    if built.weights_digest != _trained_identity(run.path):
        raise StudioError(
            f"The backbone's weights are not those that the run {run.path} was trained on; put those back."
        )
    built.model.load_state_dict(tensors)
    return Restored(built.model.eval(), labels, built.preprocessing, built.weights_digest)


def _trained_identity(folder: Path) -> str:
    """The hash of the base weights that the run was trained on."""
    try:
        return str(json.loads((folder / "environment.json").read_text(encoding="utf-8"))["backbone"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudioError(f"The run {folder} is damaged: its environment.json cannot be read.") from error


def _tensors(folder: Path, which: Which) -> dict[str, Tensor]:
    if which == "best" and (folder / ADAPTER_FILE).exists():
        return load_tensors(folder / ADAPTER_FILE)
    saved = checkpoint.read(folder / "checkpoints" / which)
    if saved is None:
        raise StudioError(f"The run {folder} has no {which} adapter yet; train it first.")
    return saved.section("adapter")
