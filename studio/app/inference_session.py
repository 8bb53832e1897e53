"""Trying a run on single images: beside other adapters on its backbone, with its parts turned up and down."""

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Literal

from studio.app.multi_task import Dial, Tasks
from studio.app.prediction import Answer
from studio.core.recipe import Recipe
from studio.core.run import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["grad-cam", "rollout"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What one adapter says of an image, and what it took to switch to it and to answer, in milliseconds."""

    name: str
    answer: Answer
    switch_ms: float
    answer_ms: float


@dataclass(frozen=True, slots=True)
class Look:
    """An image as the backbone sees it, 8-bit (height, width, 3), and where it looked, coarse, in [0, 1]."""

    pixels: "NDArray[np.uint8]"
    heat: "NDArray[np.float32]"
    label: str


class Bench:
    """A run's best adapter as it is now, and others beside it. It belongs to one thread at a time.

    The run's folder is only read, so that a run that is still training can be tried.
    """

    def __init__(self, run: Run) -> None:
        """Raise StudioError where the run has no adapter yet."""
        self._copies = Path(tempfile.mkdtemp(prefix="peft-studio-"))
        self.close = weakref.finalize(self, shutil.rmtree, self._copies, ignore_errors=True)
        """Remove the copies; done by itself when nothing holds the bench any more."""
        folder = self._copies / run.path.name
        snapshot(run, folder)
        self._tasks = Tasks.open([folder])
        self._sources = dict(zip(self._tasks.names, [run.path], strict=True))

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters, the run's own first."""
        return self._tasks.names

    def add(self, source: Path) -> str:
        """Put another run or adapter on the backbone; StudioError where it belongs to another one."""
        folder = source
        if (source / "recipe.toml").is_file() and not (source / "studio_adapter.json").is_file():
            folder = self._copies / str(len(self._sources)) / source.name
            snapshot(Run.open(source), folder)
        name = self._tasks.add(folder)
        self._sources[name] = source
        return name

    def remove(self, name: str) -> None:
        """Take one off again."""
        self._tasks.remove(name)
        del self._sources[name]

    def dials(self) -> dict[str, tuple[Dial, ...]]:
        """The attachments of each adapter as they are set."""
        return {name: tuple(self._tasks.dials(name)) for name in self.names}

    def set_dial(self, name: str, attachment: str, on: bool, strength: float) -> None:
        """Let an attachment take part or not, and how strongly; StudioError where it cannot by halves."""
        self._tasks.switch(name, attachment, on)
        if strength != next(d.strength for d in self._tasks.dials(name) if d.name == attachment):
            self._tasks.set_strength(name, attachment, strength)

    def replies(self, image: Path) -> tuple[Reply, ...]:
        """What each adapter says of an image; StudioError where it cannot be read."""
        return tuple(self._reply(name, image) for name in self.names)

    def _reply(self, name: str, image: Path) -> Reply:
        began = perf_counter()
        self._tasks.placed(name)
        placed = perf_counter()
        (answer,) = self._tasks.answer(name, [image])
        return Reply(name, answer, 1e3 * (placed - began), 1e3 * (perf_counter() - placed))

    def look(self, name: str, image: Path, kind: Kind, label: str = "") -> Look:
        """Where an adapter looked in an image, for the class ``label`` or else the one that it found."""
        import torch

        from studio.data.images.decode import read_image
        from studio.evaluation.saliency import attention_rollout, grad_cam

        attached, classifier = self._tasks.placed(name)
        pixels = classifier.preprocessing.to_pixels(read_image(image))
        tensor = classifier.preprocessing.normalize(torch.from_numpy(pixels))
        found = label or self._tasks.answer(name, [image])[0].best(1)[0][0]
        if kind == "rollout":
            heat = attention_rollout(attached.module, tensor)
        else:
            heat = grad_cam(attached.module, tensor, classifier.labels.index(found), attached.layers)
        return Look(pixels, heat.numpy(), found)

    def fused(self, recipe: Recipe, names: Sequence[str]) -> Recipe:
        """``recipe`` with an AdapterFusion of these adapters; StudioError with the reason where they cannot be fused.

        Runs among them are exported as adapters into their folders first, where the recipe then finds them.
        """
        return Tasks.open([self._sources[name] for name in names]).fused(recipe)


def snapshot(run: Run, folder: Path) -> None:
    """Write a run's best adapter as it is now to ``folder``, without the proof that an export has."""
    from studio.evaluation import restore
    from studio.export import sidecar_files
    from studio.export.contract import Subject, exporters

    restored = restore.attached(run)
    labels = tuple(restored.labels)
    subject = Subject(run, run.recipe, restored.attached, labels, restored.preprocessing, restored.identity)
    folder.mkdir(parents=True)
    exporter = exporters.get("adapter")
    exporter.write(subject, folder)
    sidecar_files.write(exporter, subject, folder)
