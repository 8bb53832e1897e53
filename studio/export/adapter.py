"""Adapter format: only the trained tensors, for every method."""

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from studio.backbones.loading import load_backbone as load_backbone
from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.core.recipe import Backbone, Recipe
from studio.export.contract import Exporter, ExportSource, register
from studio.peft.adapter_file import MANIFEST_NAME, load_adapter, read_manifest, save_adapter


@register
class AdapterExporter(Exporter):
    """``studio_adapter.json`` and ``studio_adapter.safetensors``.

    The loaded model has exactly the live model's operations.
    """

    name = "adapter"
    label = N_("adapter")
    summary = N_("Only the trained tensors: a small file that PEFT Studio loads onto the same backbone.")
    marker_file = MANIFEST_NAME
    python_usage = 'from pathlib import Path\nfrom studio.export.adapter import load\n\nmodel = load(Path("{folder}"))'
    predict_packages = ("studio", "timm", "torch")

    def write(self, source: ExportSource, folder: Path) -> None:
        """Write the tensors needed for inference, and the backbone that they belong to."""
        model = copy.deepcopy(source.model)
        attachments = model.finalize(source.recipe.attachments)
        save_adapter(
            model,
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
        """Return the backbone with the adapter attached."""
        return load(folder)


def load(folder: Path) -> Callable[[Tensor], Tensor]:
    """Return the adapter on its backbone as a function from images to logits.

    The ``predict.py`` of every adapter export calls it.
    """
    return load_adapter(load_bare_backbone(folder), folder).module


def load_bare_backbone(folder: Path) -> nn.Module:
    """Return the backbone of an adapter folder, with one output for each class.

    A backbone without pretrained weights is initialized again from the run's seed.
    """
    metadata, backbone = read_manifest(folder).metadata, read_backbone(folder)
    labels, seed = metadata.get("labels"), metadata.get("seed")
    if not isinstance(labels, list) or not isinstance(seed, int):
        raise StudioError(
            "damaged-file",
            "{file} is damaged: classes or seed are missing. Export the run again.",
            file=folder / MANIFEST_NAME,
        )
    if not backbone.pretrained:
        torch.manual_seed(seed)
    return load_backbone(backbone, len(labels))


def read_backbone(folder: Path) -> Backbone:
    """Return the backbone of an adapter folder; StudioError if it is unreadable."""
    raw = read_manifest(folder).metadata.get("backbone")
    return Recipe.from_mapping({"backbone": raw}, str(folder / MANIFEST_NAME)).backbone
