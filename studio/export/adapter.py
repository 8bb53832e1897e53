"""The adapter alone, in the program's own format: goes onto the same backbone, whatever the method."""

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from studio.backbones.loading import load_backbone as load_backbone
from studio.core.errors import StudioError
from studio.core.recipe import Backbone, Recipe
from studio.export.contract import SCRIPTS_DIR, Exporter, ExportSource, register
from studio.peft.adapter_file import MANIFEST_NAME, load_adapter, read_manifest, save_adapter


@register
class AdapterExporter(Exporter):
    """``studio_adapter.json`` and ``studio_adapter.safetensors``. Loaded again its operations are the live model's."""

    name = "adapter"
    label = "adapter"
    summary = "The trained tensors alone, a small file that goes onto the same backbone with PEFT Studio."
    marker_file = MANIFEST_NAME
    predict_script = SCRIPTS_DIR / "predict_adapter.py"

    def write(self, source: ExportSource, folder: Path) -> None:
        """Write the tensors without what only training needs, and which backbone they belong to."""
        settled = copy.deepcopy(source.model)
        attachments = settled.finalize(source.recipe.attachments)
        save_adapter(
            settled,
            attachments,
            folder,
            source.weights_digest,
            {
                "backbone": source.recipe.backbone.model_dump(),
                "labels": list(source.labels),
                "seed": source.recipe.training.seed,
            },
            source.to_stored,
        )

    def load(self, folder: Path) -> Callable[[Tensor], Tensor]:
        """The backbone with the adapter on it."""
        return load(folder)


def load(folder: Path) -> Callable[[Tensor], Tensor]:
    """An adapter folder on the backbone that it names, as a function from images to logits."""
    return load_adapter(load_bare_backbone(folder), folder).module


def load_bare_backbone(folder: Path) -> nn.Module:
    """The backbone that an adapter folder names, with a classifier of as many outputs.

    One without pretrained weights is drawn again from the run's seed.
    """
    metadata, backbone = read_manifest(folder).metadata, read_backbone(folder)
    labels, seed = metadata.get("labels"), metadata.get("seed")
    if not isinstance(labels, list) or not isinstance(seed, int):
        raise StudioError(f"{folder / MANIFEST_NAME} is damaged: it names no classes or no seed.")
    if not backbone.pretrained:
        torch.manual_seed(seed)
    return load_backbone(backbone, len(labels))


def read_backbone(folder: Path) -> Backbone:
    """What an adapter folder says of its backbone; StudioError where it says nothing that can be read."""
    said = read_manifest(folder).metadata.get("backbone")
    return Recipe.from_mapping({"backbone": said}, str(folder / MANIFEST_NAME)).backbone
