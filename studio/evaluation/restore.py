"""From a run directory back to the live model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from studio.backbones import loading
from studio.backbones.tensor_file import read_tensors
from studio.core.errors import StudioError
from studio.core.run import Run
from studio.data.preprocessing import Preprocessing
from studio.peft import Attached, attach
from studio.training import checkpoint
from studio.training.session import ADAPTER

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
    recipe, labels = run.recipe, run.labels
    module = loading.load(recipe.backbone, len(labels))
    identity, preprocessing = loading.identity(module), loading.preprocessing(module)
    live = attach(module, recipe.attachments, head=recipe.head.trainable)
    live.load_state_dict(tensors)
    return Restored(live.eval(), labels, preprocessing, identity)


def _tensors(folder: Path, which: Which) -> dict[str, Tensor]:
    if which == "best" and (folder / ADAPTER).exists():
        return read_tensors(folder / ADAPTER)
    saved = checkpoint.read(folder / "checkpoints" / which)
    if saved is None:
        raise StudioError(f"The run {folder} has no {which} adapter yet; train it first.")
    return saved.section("adapter")
