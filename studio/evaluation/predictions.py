"""What a run's best adapter says of each image of a split: the rows behind a confusion matrix."""

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
    """One image: its ``label`` and the ``predicted`` class by index, its cross entropy, and their shares in [0, 1]."""

    path: Path
    label: int
    predicted: int
    loss: float
    label_probability: float
    predicted_probability: float

    @property
    def is_correct(self) -> bool:
        """Whether the class was found."""
        return self.label == self.predicted


@dataclass(frozen=True, slots=True)
class Predictions:
    """The metrics of a split and the images behind them, in the split's order."""

    metrics: Metrics
    images: tuple[Prediction, ...]


def predict_split(run: Run, split: SplitName = "validation", control: TrainControl | None = None) -> Predictions:
    """Metrics in float32 and each image's prediction, over the images that the run has recorded for ``split``.

    Images that cannot be read are left out. Raises StudioError where the run has no adapter or the split no images.
    """
    restored, recipe = restore.load_trained(run), run.recipe
    dataset = dataset_for_split(split_manifest.images_of_run(run.path, recipe.data), restored.preprocessing, split)
    device = devices.resolve_device(recipe.training.device)
    restored.model.module.to(device)
    network, tally = (
        model_with_preprocessing(restored.model, restored.preprocessing),
        MetricAccumulator(dataset.classes),
    )
    found: list[Prediction] = []
    with Loader(dataset, recipe.training.batch_size) as loader:
        for batch in loader.batches():
            if control is not None and control.stopping:
                break
            if len(batch):
                with torch.no_grad():
                    logits = network(to_device(batch.inputs, device)).float().cpu()
                tally.update(logits, batch.labels)
                found += _batch_predictions(dataset, batch.indices.tolist(), logits, batch.labels)
    if not found:
        raise StudioError(f"None of the {split} images can be read; put them back, and evaluate again.")
    return Predictions(tally.compute(split), tuple(found))


def _batch_predictions(
    dataset: ImageDataset, indices: Sequence[int], logits: Tensor, labels: Tensor
) -> list[Prediction]:
    """The rows of a batch: logits (batch, classes) and labels (batch)."""
    losses, shares = cross_entropy(logits, labels, reduction="none"), logits.softmax(1)
    best, own = shares.max(1), shares.gather(1, labels[:, None])[:, 0]
    columns = (labels, best.indices, losses, own, best.values)
    rows = zip(indices, *(column.tolist() for column in columns), strict=True)
    return [Prediction(dataset.path(index), *values) for index, *values in rows]
