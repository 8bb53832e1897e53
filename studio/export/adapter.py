"""The adapter alone, in the program's own format: goes onto the same backbone, whatever the method."""

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from studio.backbones.loading import load as load_backbone
from studio.core.recipe import Recipe
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
        )

    def load(self, folder: Path) -> Callable[[Tensor], Tensor]:
        """The backbone with the adapter on it."""
        return load(folder)


def load(folder: Path) -> Callable[[Tensor], Tensor]:
    """An adapter folder on the backbone that it names, as a function from images to logits.

    A backbone without pretrained weights is drawn again from the run's seed.
    """
    metadata = read_description(folder).metadata
    recipe = Recipe.from_mapping({"backbone": metadata["backbone"]}, str(folder / DESCRIPTION))
    if not recipe.backbone.pretrained:
        torch.manual_seed(metadata["seed"])
    return load_adapter(load_backbone(recipe.backbone, len(metadata["labels"])), folder).module
