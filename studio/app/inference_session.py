"""Predictions of several adapters on one backbone for single images."""

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Literal

from studio.app.multi_task import AdapterControl, TaskSet
from studio.app.prediction import ImagePrediction
from studio.core.recipe import Recipe
from studio.core.run import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SaliencyKind = Literal["grad-cam", "rollout"]


@dataclass(frozen=True, slots=True)
class AdapterPrediction:
    """The prediction of one adapter, and the milliseconds to switch and to predict."""

    name: str
    prediction: ImagePrediction
    switch_ms: float
    predict_ms: float


@dataclass(frozen=True, slots=True)
class SaliencyMap:
    """An input image, 8-bit (height, width, 3), and a coarse heatmap in [0, 1]."""

    pixels: "NDArray[np.uint8]"
    heatmap: "NDArray[np.float32]"
    label: str


class InferenceSession:
    """A run's best adapter as it is now, and others; for one thread at a time.

    The run's folder is only read, so that a run that is still training can be used.
    """

    def __init__(self, run: Run) -> None:
        """Load the run; StudioError if it has no adapter yet."""
        self._snapshots_folder = Path(tempfile.mkdtemp(prefix="peft-studio-"))
        self.close = weakref.finalize(self, shutil.rmtree, self._snapshots_folder, ignore_errors=True)
        """Remove the snapshots; also called when the session is garbage collected."""
        folder = self._snapshots_folder / run.path.name
        export_snapshot(run, folder)
        self._task_set = TaskSet.open([folder])
        self._sources = dict(zip(self._task_set.names, [run.path], strict=True))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the adapters, the run's own first."""
        return self._task_set.names

    def add(self, source: Path) -> str:
        """Add another run or adapter; StudioError if it belongs to another backbone."""
        folder = source
        if (source / "recipe.toml").is_file() and not (source / "studio_adapter.json").is_file():
            folder = self._snapshots_folder / str(len(self._sources)) / source.name
            export_snapshot(Run.open(source), folder)
        name = self._task_set.add(folder)
        self._sources[name] = source
        return name

    def remove(self, name: str) -> None:
        """Remove an adapter."""
        self._task_set.remove(name)
        del self._sources[name]

    def controls(self) -> dict[str, tuple[AdapterControl, ...]]:
        """Return the attachments of each adapter with their settings."""
        return {name: tuple(self._task_set.controls(name)) for name in self.names}

    def set_control(self, name: str, attachment: str, enabled: bool, strength: float) -> None:
        """Enable or scale an attachment; StudioError if it cannot be scaled."""
        self._task_set.set_enabled(name, attachment, enabled)
        if strength != next(d.strength for d in self._task_set.controls(name) if d.name == attachment):
            self._task_set.set_strength(name, attachment, strength)

    def predict(self, image: Path) -> tuple[AdapterPrediction, ...]:
        """Return each adapter's prediction; StudioError if the image cannot be read."""
        return tuple(self._predict_one(name, image) for name in self.names)

    def _predict_one(self, name: str, image: Path) -> AdapterPrediction:
        began = perf_counter()
        self._task_set.activate(name)
        switched = perf_counter()
        (prediction,) = self._task_set.predict(name, [image])
        return AdapterPrediction(name, prediction, 1e3 * (switched - began), 1e3 * (perf_counter() - switched))

    def saliency_map(self, name: str, image: Path, kind: SaliencyKind, label: str = "") -> SaliencyMap:
        """Return the saliency of an image for the class ``label`` or the predicted one."""
        import torch

        from studio.data.images.decode import read_image
        from studio.evaluation.saliency import attention_rollout, grad_cam

        attached, classifier = self._task_set.activate(name)
        pixels = classifier.preprocessing.to_pixels(read_image(image))
        tensor = classifier.preprocessing.normalize(torch.from_numpy(pixels))
        target = label or self._task_set.predict(name, [image])[0].top_k(1)[0][0]
        if kind == "rollout":
            heat = attention_rollout(attached.module, tensor)
        else:
            heat = grad_cam(attached.module, tensor, classifier.labels.index(target), attached.layers)
        return SaliencyMap(pixels, heat.numpy(), target)

    def fusion_recipe(self, recipe: Recipe, names: Sequence[str]) -> Recipe:
        """Return ``recipe`` with an AdapterFusion of these adapters.

        Runs among them are exported as adapters into their folders first, so that the recipe finds them there. Raises
        StudioError with the reason if they cannot be fused.
        """
        return TaskSet.open([self._sources[name] for name in names]).fusion_recipe(recipe)


def export_snapshot(run: Run, folder: Path) -> None:
    """Write a run's best adapter to ``folder`` without verifying it."""
    from studio.evaluation import restore
    from studio.export import sidecar_files
    from studio.export.contract import EXPORTERS, ExportSource

    trained = restore.load_trained(run)
    labels = tuple(trained.labels)
    source = ExportSource(run, run.recipe, trained.model, labels, trained.preprocessing, trained.weights_digest)
    folder.mkdir(parents=True)
    exporter = EXPORTERS.get("adapter")
    exporter.write(source, folder)
    sidecar_files.write_sidecar_files(exporter, source, folder)
