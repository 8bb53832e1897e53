"""Linear probe: logistic regression on the features of a frozen backbone."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from studio.backbones import loading
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.recipe import Backbone
from studio.data.dataset.dataset import ImageDataset, dataset_for_split
from studio.data.dataset.index import DatasetIndex
from studio.data.images.file_index import Cancelled, ProgressCallback, SplitName
from studio.data.loader import Loader
from studio.training.backend import device as devices
from studio.training.inputs import to_device

MAX_TRAINING_IMAGES, MAX_VALIDATION_IMAGES, MIN_IMAGES_PER_CLASS = 2_000, 1_000, 10
"""Limits of the images used of each split, and the least number of training images for each class."""
_BATCH = 32
_L2_PENALTIES = (1.0, 10.0, 100.0)
_STEPS = 60


def linear_probe(
    summary: DatasetIndex, backbone: Backbone, control: TrainControl, progress: ProgressCallback
) -> tuple[float, int]:
    """Return the validation accuracy in [0, 1], and the number of images used.

    The features are standardized. The L2 penalty is chosen on a fifth of the training images, so that no choice
    depends on the validation images. Raises Cancelled if ``control`` requests a stop.
    """
    device = devices.resolve_device("auto")
    module = loading.load_backbone(backbone, 0).to(device)
    preprocessing = loading.resolve_preprocessing(module)
    most = max(MAX_TRAINING_IMAGES, MIN_IMAGES_PER_CLASS * len(summary.classes))
    sets = [
        dataset_for_split(_sample_split(summary, split, n), preprocessing, split) for split, n in _split_limits(most)
    ]
    total, done, parts = sum(map(len, sets)), 0, []
    for images in sets:
        parts.append(_extract_features(module, images, device, control, lambda n: progress("baseline", n, total), done))
        done += len(images)
    (features, labels), (held_out, truth) = parts
    if not len(labels) or not len(truth):
        raise StudioError(
            "no-readable-images", "Cannot compute the baseline: the images cannot be read. Check the data."
        )
    weights = _fit_best(features, labels, len(summary.classes))
    correct = (_standardize(held_out, features) @ weights).argmax(dim=1) == truth
    return float(correct.float().mean()), len(labels) + len(truth)


def _split_limits(max_training: int) -> tuple[tuple[SplitName, int], ...]:
    return ("train", max_training), ("validation", MAX_VALIDATION_IMAGES)


def _sample_split(summary: DatasetIndex, split: SplitName, max_images: int) -> DatasetIndex:
    """Return at most ``max_images`` images of a split, always the same ones."""
    images = summary.in_split(split)
    chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:max_images])
    return replace(summary, images=tuple(images[index] for index in chosen))


def _extract_features(
    module: nn.Module,
    images: ImageDataset,
    device: torch.device,
    control: TrainControl,
    on_progress: Callable[[int], object],
    offset: int,
) -> tuple[Tensor, Tensor]:
    """Return features (N, width) and class indices (N,) of readable images."""
    features, labels = [torch.empty(0)], [torch.empty(0, dtype=torch.int64)]
    with Loader(images, _BATCH) as loader, torch.no_grad():
        for number, batch in enumerate(loader.batches()):
            if control.stopping:
                raise Cancelled
            if len(batch):
                inputs = images.preprocessing.normalize(to_device(batch.inputs, device))
                features.append(module(inputs).flatten(1).float().cpu())
                labels.append(batch.labels)
            on_progress(offset + min((number + 1) * _BATCH, len(images)))
    return torch.cat(features[1:] or features), torch.cat(labels)


def _standardize(features: Tensor, training: Tensor) -> Tensor:
    """Standardize by the training images, and append ones for the bias."""
    scaled = (features - training.mean(dim=0)) / training.std(dim=0, correction=0).clamp_min(1e-6)
    return torch.cat([scaled, torch.ones(len(scaled), 1)], dim=1)


def _fit_best(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return weights (width + 1, classes) fitted to all images.

    The penalty is the best one on a fifth of them.
    """
    inputs = _standardize(features, features)
    held = torch.arange(len(labels)) % 5 == 0
    if len(labels) < 10:
        return _fit(inputs, labels, classes, _L2_PENALTIES[0])

    def accuracy(penalty: float) -> float:
        weights = _fit(inputs[~held], labels[~held], classes, penalty)
        return float(((inputs[held] @ weights).argmax(dim=1) == labels[held]).float().mean())

    return _fit(inputs, labels, classes, max(_L2_PENALTIES, key=accuracy))


def _fit(inputs: Tensor, labels: Tensor, classes: int, penalty: float) -> Tensor:
    """Minimize cross entropy + ``penalty / (2 N)`` * squared weights without bias."""
    weights = torch.zeros(inputs.shape[1], classes, requires_grad=True)
    search = torch.optim.LBFGS([weights], max_iter=_STEPS, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        value = nn.functional.cross_entropy(inputs @ weights, labels)
        value = value + penalty / (2 * len(labels)) * weights[:-1].square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    search.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach()
