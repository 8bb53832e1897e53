"""Classifying images with a run or with any export."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import StudioError
from studio.core.run import Run

if TYPE_CHECKING:
    from torch import Tensor

    from studio.data.transforms.preprocessing import Preprocessing

BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class ImagePrediction:
    """One image's probabilities by class, the likeliest first."""

    image: str
    probabilities: dict[str, float]

    def top_k(self, k: int) -> list[tuple[str, float]]:
        """The likeliest classes."""
        return list(self.probabilities.items())[:k]

    def as_json(self) -> dict[str, Any]:
        """The likeliest class and all probabilities."""
        label, probability = self.top_k(1)[0]
        return {"image": self.image, "class": label, "probability": probability, "probabilities": self.probabilities}


@dataclass(frozen=True, slots=True)
class Classifier:
    """What answers: ``logits`` maps images (N, 3, height, width) to scores (N, classes)."""

    logits: "Callable[[Tensor], Tensor]"
    labels: tuple[str, ...]
    preprocessing: "Preprocessing"

    def predict(self, paths: Sequence[Path]) -> list[ImagePrediction]:
        """Classify image files; StudioError for one that cannot be read."""
        return [
            answer
            for start in range(0, len(paths), BATCH_SIZE)
            for answer in self._predict_batch(paths[start : start + BATCH_SIZE])
        ]

    def _predict_batch(self, paths: Sequence[Path]) -> list[ImagePrediction]:
        import torch

        from studio.data.images.decode import read_image

        images = torch.stack([self.preprocessing(read_image(path)) for path in paths])
        with torch.inference_mode():
            odds = self.logits(images).float().cpu().softmax(1)
        return [
            ImagePrediction(str(path), _sort_by_probability(self.labels, row.tolist()))
            for path, row in zip(paths, odds, strict=True)
        ]


def _sort_by_probability(labels: Sequence[str], probabilities: Sequence[float]) -> dict[str, float]:
    return dict(sorted(zip(labels, probabilities, strict=True), key=lambda pair: -pair[1]))


def predict(source: Path, images: Sequence[Path]) -> list[ImagePrediction]:
    """Classify image files with the run or export in the folder ``source``."""
    return open_classifier(source).predict(images)


def open_classifier(source: Path) -> Classifier:
    """A run's best adapter on its backbone, or an export of any kind; StudioError where the folder is neither."""
    from studio.export.contract import exporters

    for exporter in exporters:
        if (source / exporter.marker_file).is_file() and (source / "preprocessing.json").is_file():
            return _from_export(exporter.load(source), source)
    if not (source / "recipe.toml").is_file():
        raise StudioError(f"{source} is neither a run nor an export.")
    return _from_run(Run.open(source))


def _from_export(logits: "Callable[[Tensor], Tensor]", folder: Path) -> Classifier:
    return Classifier(logits, *read_labels_and_preprocessing(folder))


def read_labels_and_preprocessing(folder: Path) -> "tuple[tuple[str, ...], Preprocessing]":
    """The classes of an export, and what it does to images."""
    import json

    from studio.data.transforms.preprocessing import Preprocessing

    try:
        labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        settings = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
        return tuple(map(str, labels)), Preprocessing.from_json(settings)
    except (OSError, ValueError, TypeError) as error:
        raise StudioError(f"The export {folder} is damaged: its classes or preprocessing cannot be read.") from error


def _from_run(run: Run) -> Classifier:
    from studio.evaluation import restore

    restored = restore.load_trained(run)
    module = restored.model.module
    device = next(module.parameters()).device
    return Classifier(lambda images: module(images.to(device)), tuple(restored.labels), restored.preprocessing)
