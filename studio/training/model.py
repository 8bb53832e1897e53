"""From a recipe to the network that it describes: the same for training and for whatever reads a run."""

from dataclasses import dataclass

import torch

from studio.backbones import loading
from studio.core.recipe import Recipe
from studio.data.transforms.preprocessing import Preprocessing
from studio.peft import AdaptedModel, attach


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A backbone with the recipe's attachments. ``weights_digest`` is the hash of its base weights."""

    model: AdaptedModel
    preprocessing: Preprocessing
    weights_digest: str


def build_model(recipe: Recipe, num_classes: int, device: torch.device) -> BuiltModel:
    """Load the backbone onto ``device`` and attach everything; StudioError where the recipe does not allow it.

    What begins at random is decided by the recipe's seed, through torch's global random numbers.
    """
    torch.manual_seed(recipe.training.seed)
    module = loading.load_backbone(recipe.backbone, num_classes)
    identity, preprocessing = loading.weights_digest(module), loading.resolve_preprocessing(module)
    attached = attach(module.to(device), recipe.attachments, head=recipe.head.trainable)
    return BuiltModel(attached, preprocessing, identity)
