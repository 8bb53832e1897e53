"""Classification of images with a run or with any export."""

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
    """The probabilities of one image by class, the most likely first."""

    image: str
    probabilities: dict[str, float]

    def top_k(self, k: int) -> list[tuple[str, float]]:
        """Return the ``k`` most likely classes."""
        return list(self.probabilities.items())[:k]

    def as_json(self) -> dict[str, Any]:
        """Return the most likely class and all probabilities."""
        label, probability = self.top_k(1)[0]
        return {"image": self.image, "class": label, "probability": probability, "probabilities": self.probabilities}


@dataclass(frozen=True, slots=True)
class Classifier:
    """A classifier: ``logits`` maps images (N, 3, height, width) to (N, classes)."""

    logits: "Callable[[Tensor], Tensor]"
    labels: tuple[str, ...]
    preprocessing: "Preprocessing"

    def predict(self, paths: Sequence[Path]) -> list[ImagePrediction]:
        """Classify image files; StudioError if one cannot be read."""
        return [
            prediction
            for start in range(0, len(paths), BATCH_SIZE)
            for prediction in self._predict_batch(paths[start : start + BATCH_SIZE])
        ]

    def _predict_batch(self, paths: Sequence[Path]) -> list[ImagePrediction]:
        import torch

        from studio.data.images.decode import read_image

        images = torch.stack([self.preprocessing(read_image(path)) for path in paths])
        with torch.inference_mode():
            probabilities = self.logits(images).float().cpu().softmax(1)
        return [
            ImagePrediction(str(path), _sort_by_probability(self.labels, row.tolist()))
            for path, row in zip(paths, probabilities, strict=True)
        ]


def _sort_by_probability(labels: Sequence[str], probabilities: Sequence[float]) -> dict[str, float]:
    return dict(sorted(zip(labels, probabilities, strict=True), key=lambda pair: -pair[1]))


def predict(source: Path, images: Sequence[Path]) -> list[ImagePrediction]:
    """Classify image files with the run or export in the folder ``source``."""
    return open_classifier(source).predict(images)


def open_classifier(source: Path) -> Classifier:
    """Open a run's best adapter or an export; StudioError if the folder is neither."""
    from studio.export.contract import EXPORTERS

    for exporter in EXPORTERS:
        if (source / exporter.marker_file).is_file() and (source / "preprocessing.json").is_file():
            return _from_export(exporter.load(source), source)
    if not (source / "recipe.toml").is_file():
        raise StudioError("not-a-run", "{path} is neither a run nor an export.", path=source)
    return _from_run(Run.open(source))


def _from_export(logits: "Callable[[Tensor], Tensor]", folder: Path) -> Classifier:
    return Classifier(logits, *read_labels_and_preprocessing(folder))


def read_labels_and_preprocessing(folder: Path) -> "tuple[tuple[str, ...], Preprocessing]":
    """Read the classes and the preprocessing of an export."""
    import json

    from studio.data.transforms.preprocessing import Preprocessing

    try:
        labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        settings = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
        return tuple(map(str, labels)), Preprocessing.from_json(settings)
    except (OSError, ValueError, TypeError) as error:
        raise StudioError(
            "unreadable-file", "The export {path} is damaged: its classes or preprocessing cannot be read.", path=folder
        ) from error


def _from_run(run: Run) -> Classifier:
    from studio.evaluation import restore

    trained = restore.load_trained(run)
    module = trained.model.module
    device = next(module.parameters()).device
    return Classifier(lambda images: module(images.to(device)), tuple(trained.labels), trained.preprocessing)
