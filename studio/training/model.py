"""Build the model of a recipe, for training and for everything that reads a run."""

from dataclasses import dataclass

import torch

from studio.backbones import loading
from studio.core.recipe import Recipe
from studio.data.transforms.preprocessing import Preprocessing
from studio.peft import AdaptedModel, attach


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A backbone with the attachments of a recipe.

    ``weights_digest`` is the hash of its base weights.
    """

    model: AdaptedModel
    preprocessing: Preprocessing
    weights_digest: str


def build_model(recipe: Recipe, num_classes: int, device: torch.device) -> BuiltModel:
    """Load the backbone onto ``device`` and attach all methods.

    Raise StudioError if the recipe does not fit the backbone. Random initial values depend on the seed of the recipe,
    through torch's global generator.
    """
    torch.manual_seed(recipe.training.seed)
    module = loading.load_backbone(recipe.backbone, num_classes)
    identity, preprocessing = loading.weights_digest(module), loading.resolve_preprocessing(module)
    attached = attach(module.to(device), recipe.attachments, head=recipe.head.trainable)
    return BuiltModel(attached, preprocessing, identity)
