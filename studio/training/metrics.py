"""Loss, accuracy, precision, recall and confusion matrix of a split."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Metrics of one class in [0, 1]; precision is 0 if the class was never predicted."""

    label: str
    images: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics of a split.

    ``loss`` is the mean cross entropy. ``confusion`` has true classes as rows and predicted ones as columns.
    """

    split: str
    images: int
    accuracy: float
    loss: float
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]

    def as_json(self) -> dict[str, Any]:
        """Return the object that ``evaluate --json`` prints."""
        return asdict(self)


class MetricAccumulator:
    """Accumulates metrics over batches."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._confusion = torch.zeros(len(labels), len(labels), dtype=torch.int64)
        self._loss = 0.0

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch of logits (N, C) and class indices (N)."""
        self._loss += float(cross_entropy(logits.float(), labels, reduction="sum"))
        cells = labels.cpu() * len(self._labels) + logits.argmax(1).cpu()
        self._confusion += torch.bincount(cells, minlength=len(self._labels) ** 2).view_as(self._confusion)

    def sync(self, all_reduce_sum: Callable[[Tensor], Tensor]) -> None:
        """Add the counts of other processes.

        ``all_reduce_sum`` sums a tensor over all of them.
        """
        self._loss = float(all_reduce_sum(torch.tensor(self._loss, dtype=torch.float64)))
        self._confusion = all_reduce_sum(self._confusion)

    def compute(self, split: str) -> Metrics:
        """Return the metrics over all batches."""
        images = int(self._confusion.sum())
        correct = int(self._confusion.diagonal().sum())
        return Metrics(
            split=split,
            images=images,
            accuracy=_ratio(correct, images),
            loss=self._loss / max(1, images),
            per_class=tuple(self._per_class()),
            confusion=tuple(tuple(row) for row in self._confusion.tolist()),
        )

    def _per_class(self) -> Iterable[ClassMetrics]:
        counts = (self._confusion.diagonal().tolist(), self._confusion.sum(0).tolist(), self._confusion.sum(1).tolist())
        for label, correct, predicted, actual in zip(self._labels, *counts, strict=True):
            yield ClassMetrics(
                label=label,
                images=actual,
                precision=_ratio(correct, predicted),
                recall=_ratio(correct, actual),
                f1=_ratio(2 * correct, predicted + actual),
            )


def _ratio(part: int, total: int) -> float:
    return part / total if total else 0.0
