"""Prediction of a run's best adapter for each image of a split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.run import Run
from studio.data.dataset import split_manifest
from studio.data.dataset.dataset import ImageDataset, dataset_for_split
from studio.data.images.file_index import SplitName
from studio.data.loader import Loader
from studio.evaluation import restore
from studio.training.backend import device as devices
from studio.training.inputs import model_with_preprocessing, to_device
from studio.training.metrics import MetricAccumulator, Metrics


@dataclass(frozen=True, slots=True)
class Prediction:
    """Prediction for one image.

    ``label`` and ``predicted`` are class indices, ``loss`` is the cross entropy.
    """

    path: Path
    label: int
    predicted: int
    loss: float
    label_probability: float
    predicted_probability: float

    @property
    def is_correct(self) -> bool:
        """Whether the predicted class is the label."""
        return self.label == self.predicted


@dataclass(frozen=True, slots=True)
class Predictions:
    """Metrics of a split and the prediction for each image, in the split's order."""

    metrics: Metrics
    images: tuple[Prediction, ...]


def predict_split(run: Run, split: SplitName = "validation", control: TrainControl | None = None) -> Predictions:
    """Compute metrics in float32, and the prediction for each image of ``split``.

    The images are those that the run has recorded. Unreadable images are skipped. Raises StudioError if the run has no
    adapter or the split no images.
    """
    trained, recipe = restore.load_trained(run), run.recipe
    dataset = dataset_for_split(split_manifest.images_of_run(run.path, recipe.data), trained.preprocessing, split)
    device = devices.resolve_device(recipe.training.device)
    trained.model.module.to(device)
    network = model_with_preprocessing(trained.model, trained.preprocessing)
    metrics, predictions = MetricAccumulator(dataset.classes), list[Prediction]()
    with Loader(dataset, recipe.training.batch_size) as loader:
        for batch in loader.batches():
            if control is not None and control.stopping:
                break
            if len(batch):
                with torch.no_grad():
                    logits = network(to_device(batch.inputs, device)).float().cpu()
                metrics.update(logits, batch.labels)
                predictions += _batch_predictions(dataset, batch.indices.tolist(), logits, batch.labels)
    if not predictions:
        raise StudioError(
            "no-readable-images",
            "Cannot evaluate: none of the {split} images can be read. Restore them and try again.",
            split=split,
        )
    return Predictions(metrics.compute(split), tuple(predictions))


def _batch_predictions(
    dataset: ImageDataset, indices: Sequence[int], logits: Tensor, labels: Tensor
) -> list[Prediction]:
    """Return the predictions of a batch from logits (N, classes) and labels (N,)."""
    losses, probabilities = cross_entropy(logits, labels, reduction="none"), logits.softmax(1)
    best, of_label = probabilities.max(1), probabilities.gather(1, labels[:, None])[:, 0]
    columns = (labels, best.indices, losses, of_label, best.values)
    rows = zip(indices, *(column.tolist() for column in columns), strict=True)
    return [Prediction(dataset.path(index), *values) for index, *values in rows]
