"""Trying a run on single images: beside other adapters on its backbone, with its parts turned up and down."""

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
    """What one adapter says of an image, and what it took to switch to it and to answer, in milliseconds."""

    name: str
    prediction: ImagePrediction
    switch_ms: float
    predict_ms: float


@dataclass(frozen=True, slots=True)
class SaliencyMap:
    """An image as the backbone sees it, 8-bit (height, width, 3), and where it looked, coarse, in [0, 1]."""

    pixels: "NDArray[np.uint8]"
    heatmap: "NDArray[np.float32]"
    label: str


class InferenceSession:
    """A run's best adapter as it is now, and others beside it. It belongs to one thread at a time.

    The run's folder is only read, so that a run that is still training can be tried.
    """

    def __init__(self, run: Run) -> None:
        """Raise StudioError where the run has no adapter yet."""
        self._snapshots_folder = Path(tempfile.mkdtemp(prefix="peft-studio-"))
        self.close = weakref.finalize(self, shutil.rmtree, self._snapshots_folder, ignore_errors=True)
        """Remove the copies; done by itself when nothing holds the bench any more."""
        folder = self._snapshots_folder / run.path.name
        export_snapshot(run, folder)
        self._task_set = TaskSet.open([folder])
        self._sources = dict(zip(self._task_set.names, [run.path], strict=True))

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters, the run's own first."""
        return self._task_set.names

    def add(self, source: Path) -> str:
        """Put another run or adapter on the backbone; StudioError where it belongs to another one."""
        folder = source
        if (source / "recipe.toml").is_file() and not (source / "studio_adapter.json").is_file():
            folder = self._snapshots_folder / str(len(self._sources)) / source.name
            export_snapshot(Run.open(source), folder)
        name = self._task_set.add(folder)
        self._sources[name] = source
        return name

    def remove(self, name: str) -> None:
        """Take one off again."""
        self._task_set.remove(name)
        del self._sources[name]

    def controls(self) -> dict[str, tuple[AdapterControl, ...]]:
        """The attachments of each adapter as they are set."""
        return {name: tuple(self._task_set.controls(name)) for name in self.names}

    def set_control(self, name: str, attachment: str, enabled: bool, strength: float) -> None:
        """Let an attachment take part or not, and how strongly; StudioError where it cannot by halves."""
        self._task_set.set_enabled(name, attachment, enabled)
        if strength != next(d.strength for d in self._task_set.controls(name) if d.name == attachment):
            self._task_set.set_strength(name, attachment, strength)

    def predict(self, image: Path) -> tuple[AdapterPrediction, ...]:
        """What each adapter says of an image; StudioError where it cannot be read."""
        return tuple(self._predict_one(name, image) for name in self.names)

    def _predict_one(self, name: str, image: Path) -> AdapterPrediction:
        began = perf_counter()
        self._task_set.activate(name)
        placed = perf_counter()
        (answer,) = self._task_set.predict(name, [image])
        return AdapterPrediction(name, answer, 1e3 * (placed - began), 1e3 * (perf_counter() - placed))

    def saliency_map(self, name: str, image: Path, kind: SaliencyKind, label: str = "") -> SaliencyMap:
        """Where an adapter looked in an image, for the class ``label`` or else the one that it found."""
        import torch

        from studio.data.images.decode import read_image
        from studio.evaluation.saliency import attention_rollout, grad_cam

        attached, classifier = self._task_set.activate(name)
        pixels = classifier.preprocessing.to_pixels(read_image(image))
        tensor = classifier.preprocessing.normalize(torch.from_numpy(pixels))
        found = label or self._task_set.predict(name, [image])[0].top_k(1)[0][0]
        if kind == "rollout":
            heat = attention_rollout(attached.module, tensor)
        else:
            heat = grad_cam(attached.module, tensor, classifier.labels.index(found), attached.layers)
        return SaliencyMap(pixels, heat.numpy(), found)

    def fusion_recipe(self, recipe: Recipe, names: Sequence[str]) -> Recipe:
        """``recipe`` with an AdapterFusion of these adapters; StudioError with the reason where they cannot be fused.

        Runs among them are exported as adapters into their folders first, where the recipe then finds them.
        """
        return TaskSet.open([self._sources[name] for name in names]).fusion_recipe(recipe)


def export_snapshot(run: Run, folder: Path) -> None:
    """Write a run's best adapter as it is now to ``folder``, without the proof that an export has."""
    from studio.evaluation import restore
    from studio.export import sidecar_files
    from studio.export.contract import ExportSource, exporters

    restored = restore.load_trained(run)
    labels = tuple(restored.labels)
    subject = ExportSource(run, run.recipe, restored.model, labels, restored.preprocessing, restored.weights_digest)
    folder.mkdir(parents=True)
    exporter = exporters.get("adapter")
    exporter.write(subject, folder)
    sidecar_files.write_sidecar_files(exporter, subject, folder)
