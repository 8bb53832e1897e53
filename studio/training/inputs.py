"""Batch sources of training and validation, and the network for them.

Both are chosen together: images and the whole backbone, or cached features of the frozen prefix and the rest of it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
from studio.training.feature_cache.frozen_prefix import ModelSplit

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class TrainInputs:
    """Two batch sources, and the network that maps their inputs to logits (N, C).

    ``first_trained_layer`` is the path of the first layer of the network, "" for the whole backbone.
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
    cache_key_data: Mapping[str, Any] | None = None,
) -> TrainInputs:
    """Return cached features for a frozen prefix if images repeat; else images.

    With ``cache_key_data``, what features depend on besides the loader, they are also shared with other runs on disk.
    """
    always_new = training.is_random and not training.num_views
    split = None if always_new else frozen_prefix.find_split(model, preprocessing.size)
    if split is None:
        return TrainInputs(model_with_preprocessing(model, preprocessing, memory_format), training, validation)

    def features(pixels: Tensor) -> Tensor:
        with torch.no_grad(), autocast(device, precision):
            return split.prefix(to_memory_format(preprocessing.normalize(to_device(pixels, device)), memory_format))

    def source(loader: Loader) -> CachedFeatureLoader:
        return CachedFeatureLoader(loader, features, _feature_cache(split, loader, precision, cache_key_data))

    return TrainInputs(split.tail, source(training), source(validation), split.first_trained_layer)


def _feature_cache(
    split: ModelSplit, loader: Loader, precision: Precision, key_data: Mapping[str, Any] | None
) -> FeatureCache | None:
    if key_data is None:
        return None
    # With autocast the last layer of the prefix decides between 2 and 4 bytes.
    row_bytes = math.prod(split.feature_shape) * (2 if precision == "bfloat16" else 4)
    return FeatureCache({**key_data, "first_trained_layer": split.first_trained_layer}, loader, row_bytes)


def model_with_preprocessing(
    model: AdaptedModel, preprocessing: Preprocessing, memory_format: torch.memory_format = torch.contiguous_format
) -> Network:
    """Return a network from 8-bit images (N, H, W, 3) to logits (N, C)."""

    def network(pixels: Tensor) -> Tensor:
        logits: Tensor = model.module(to_memory_format(preprocessing.normalize(pixels), memory_format))
        return logits

    return network


def build_loaders(
    recipe: Recipe,
    images: DatasetIndex,
    preprocessing: Preprocessing,
    shard: tuple[int, int] = (0, 1),
    pin_memory: bool = False,
) -> tuple[Loader, Loader]:
    """Return the loaders of training and validation.

    Training is shuffled and augmented. ``shard`` is (rank, world size). With ``pin_memory`` copies to a GPU overlap
    with computation.
    """
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
        pin_memory=pin_memory,
    )
    dataset = dataset_for_split(images, preprocessing, "validation")
    return training, Loader(dataset, settings.batch_size, shard=shard, pin_memory=pin_memory)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor; from pinned memory to a GPU the copy overlaps with computation."""
    return tensor.to(device, non_blocking=True)
