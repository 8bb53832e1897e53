"""Loss, accuracy, precision, recall and confusion over a whole split."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One class: its images, and precision, recall and their harmonic mean in [0, 1], 0 where it was never found."""

    label: str
    images: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """A split's result: the mean cross entropy, and images counted by true (row) and found (column) class."""

    split: str
    images: int
    accuracy: float
    loss: float
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]

    def as_json(self) -> dict[str, Any]:
        """The object that ``evaluate --json`` prints."""
        return asdict(self)


class MetricAccumulator:
    """Adds up predictions batch by batch."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._confusion = torch.zeros(len(labels), len(labels), dtype=torch.int64)
        self._loss = 0.0

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: logits (batch, classes), labels (batch)."""
        self._loss += float(cross_entropy(logits.float(), labels, reduction="sum"))
        places = labels.cpu() * len(self._labels) + logits.argmax(1).cpu()
        self._confusion += torch.bincount(places, minlength=len(self._labels) ** 2).view_as(self._confusion)

    def sync(self, all_reduce_sum: Callable[[Tensor], Tensor]) -> None:
        """Take in what other processes have counted; ``sync`` adds a tensor up over all of them."""
        self._loss = float(all_reduce_sum(torch.tensor(self._loss, dtype=torch.float64)))
        self._confusion = all_reduce_sum(self._confusion)

    def compute(self, split: str) -> Metrics:
        """What all batches together come to."""
        images = int(self._confusion.sum())
        right = int(self._confusion.diagonal().sum())
        return Metrics(
            split=split,
            images=images,
            accuracy=_ratio(right, images),
            loss=self._loss / max(1, images),
            per_class=tuple(self._per_class()),
            confusion=tuple(tuple(row) for row in self._confusion.tolist()),
        )

    def _per_class(self) -> Iterable[ClassMetrics]:
        counts = (self._confusion.diagonal().tolist(), self._confusion.sum(0).tolist(), self._confusion.sum(1).tolist())
        for label, right, found, there in zip(self._labels, *counts, strict=True):
            yield ClassMetrics(
                label=label,
                images=there,
                precision=_ratio(right, found),
                recall=_ratio(right, there),
                f1=_ratio(2 * right, found + there),
            )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
