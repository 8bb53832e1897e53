"""What training and validation read, and the network that turns it into logits.

Both are chosen together: images and the whole backbone, or what its frozen part makes of the images, computed once, and
the rest of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.core.recipe import Recipe
from studio.data.dataset.dataset import dataset_for_split
from studio.data.dataset.index import DatasetIndex
from studio.data.loader import BatchSource, Loader
from studio.data.transforms.augmentation import Augmentation
from studio.data.transforms.mixup import MixupCutmix
from studio.data.transforms.preprocessing import Preprocessing
from studio.peft import AdaptedModel
from studio.training.backend.memory_format import to_memory_format
from studio.training.backend.precision import Precision, autocast
from studio.training.feature_cache import frozen_prefix
from studio.training.feature_cache.disk_cache import FeatureCache
from studio.training.feature_cache.feature_loader import CachedFeatureLoader

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class TrainInputs:
    """``network`` takes the inputs of either source, on the training's device, to logits (batch, classes).

    ``first_trained_layer`` is the path of the first layer that it runs, empty where that is the whole backbone.
    """

    network: Network
    training: BatchSource
    validation: BatchSource
    first_trained_layer: str = ""


def build_inputs(
    model: AdaptedModel,
    preprocessing: Preprocessing,
    training: Loader,
    validation: Loader,
    device: torch.device,
    precision: Precision,
    memory_format: torch.memory_format = torch.contiguous_format,
    feature_cache: FeatureCache | None = None,
) -> TrainInputs:
    """Features behind the frozen part of the backbone where it has one and images do not always change, else images."""
    cut = None if training.is_random and not training.num_views else frozen_prefix.find_split(model, preprocessing.size)
    if cut is None:
        return TrainInputs(model_with_preprocessing(model, preprocessing, memory_format), training, validation)

    def features(pixels: Tensor) -> Tensor:
        with torch.no_grad(), autocast(device, precision):
            return cut.prefix(to_memory_format(preprocessing.normalize(to_device(pixels, device)), memory_format))

    def source(loader: Loader) -> CachedFeatureLoader:
        return CachedFeatureLoader(
            loader, features, feature_cache.entry(cut.first_trained_layer, loader) if feature_cache else None
        )

    return TrainInputs(cut.tail, source(training), source(validation), cut.first_trained_layer)


def model_with_preprocessing(
    model: AdaptedModel, preprocessing: Preprocessing, memory_format: torch.memory_format = torch.contiguous_format
) -> Network:
    """The backbone behind its preprocessing: 8-bit images (batch, height, width, 3) to logits."""

    def network(pixels: Tensor) -> Tensor:
        logits: Tensor = model.module(to_memory_format(preprocessing.normalize(pixels), memory_format))
        return logits

    return network


def build_loaders(
    recipe: Recipe, images: DatasetIndex, preprocessing: Preprocessing, shard: tuple[int, int] = (0, 1)
) -> tuple[Loader, Loader]:
    """Shuffled and changed training images, and validation images as they are; of both a share of each batch."""
    settings = recipe.training
    training = Loader(
        dataset_for_split(images, preprocessing, "train"),
        settings.batch_size,
        seed=settings.seed,
        shuffle=True,
        augmentation=Augmentation.from_transforms(recipe.data.transforms),
        mixing=MixupCutmix.from_training(settings),
        num_views=settings.fixed_views,
        shard=shard,
    )
    return training, Loader(dataset_for_split(images, preprocessing, "validation"), settings.batch_size, shard=shard)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a batch without waiting for the copy where the device allows it."""
    return tensor.to(device, non_blocking=True)
