"""The adapter alone, in the program's own format: goes onto the same backbone, whatever the method."""

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from studio.backbones.loading import load_backbone as load_backbone
from studio.core.errors import StudioError
from studio.core.recipe import Backbone, Recipe
from studio.export.contract import SHIPPED, Exporter, Subject, register
from studio.peft.adapter_file import DESCRIPTION, load_adapter, read_description, save_adapter


@register
class Adapter(Exporter):
    """``studio_adapter.json`` and ``studio_adapter.safetensors``. Loaded again its operations are the live model's."""

    name = "adapter"
    label = "adapter"
    summary = "The trained tensors alone, a small file that goes onto the same backbone with PEFT Studio."
    marker = DESCRIPTION
    script = SHIPPED / "predict_adapter.py"

    def write(self, subject: Subject, folder: Path) -> None:
        """Write the tensors without what only training needs, and which backbone they belong to."""
        settled = copy.deepcopy(subject.attached)
        attachments = settled.settle(subject.recipe.attachments)
        save_adapter(
            settled,
            attachments,
            folder,
            subject.identity,
            {
                "backbone": subject.recipe.backbone.model_dump(),
                "labels": list(subject.labels),
                "seed": subject.recipe.training.seed,
            },
            subject.stored,
        )

    def load(self, folder: Path) -> Callable[[Tensor], Tensor]:
        """The backbone with the adapter on it."""
        return load(folder)


def load(folder: Path) -> Callable[[Tensor], Tensor]:
    """An adapter folder on the backbone that it names, as a function from images to logits."""
    return load_adapter(bare(folder), folder).module


def bare(folder: Path) -> nn.Module:
    """The backbone that an adapter folder names, with a classifier of as many outputs.

    One without pretrained weights is drawn again from the run's seed.
    """
    metadata, backbone = read_description(folder).metadata, backbone_of(folder)
    labels, seed = metadata.get("labels"), metadata.get("seed")
    if not isinstance(labels, list) or not isinstance(seed, int):
        raise StudioError(f"{folder / DESCRIPTION} is damaged: it names no classes or no seed.")
    if not backbone.pretrained:
        torch.manual_seed(seed)
    return load_backbone(backbone, len(labels))


def backbone_of(folder: Path) -> Backbone:
    """What an adapter folder says of its backbone; StudioError where it says nothing that can be read."""
    said = read_description(folder).metadata.get("backbone")
    return Recipe.from_mapping({"backbone": said}, str(folder / DESCRIPTION)).backbone
