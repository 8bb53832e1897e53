"""Real images through the real transform: what validation and export see, and what training makes of it."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from studio.core.recipe import Backbone, Transforms
from studio.ui.services.background import Lane, sentence
from studio.ui.services.thumbnails import from_rgb, small_picture

if TYPE_CHECKING:
    from studio.data.dataset.index import DatasetIndex
    from studio.data.transforms.augmentation import Augmentation
    from studio.data.transforms.preprocessing import Pixels, Preprocessing

IMAGES, VARIANTS = 4, 4
SIDE = 160


@dataclass(frozen=True, slots=True)
class Seen:
    """One image: as it is, as validation and export see it, and as training sees it in several epochs."""

    name: str
    original: QImage
    plain: QImage
    changed: tuple[QImage, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """Rows of a preview and the preprocessing that made them, or why there are none."""

    rows: tuple[Seen, ...] = ()
    preprocessing: "Preprocessing | None" = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a preview is made from; ``turn`` brings other images."""

    root: Path
    paths: tuple[Path, ...]
    backbone: Backbone
    transforms: Transforms
    seed: int
    turn: int = 0


class Previews(QObject):
    """Makes a preview of what was asked for last; ``made`` carries a :class:`Preview`."""

    made = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = Lane("preview", self)

    def ask(self, wanted: Wanted) -> None:
        """Make a preview; what was asked for before and waits is dropped."""
        self._lane.submit(
            lambda: make(wanted),
            self.made.emit,
            lambda error: self.made.emit(Preview(error=sentence(error))),
            "preview",
        )

    def close(self) -> None:
        """End the thread."""
        self._lane.close()


def wanted(summary: "DatasetIndex", backbone: Backbone, transforms: Transforms, seed: int, turn: int) -> Wanted:
    """A few training images, of different classes where there are several; each ``turn`` brings others."""
    by_class: dict[int, list[Path]] = {}
    for image in summary.in_split("train"):
        by_class.setdefault(image.label, []).append(image.path)
    labels = sorted(by_class)
    paths = []
    for place in range(IMAGES if labels else 0):
        round_, which = divmod(turn * IMAGES + place, len(labels))
        paths.append(by_class[labels[which]][round_ % len(by_class[labels[which]])])
    return Wanted(summary.path, tuple(dict.fromkeys(paths)), backbone, transforms, seed, turn)


def make(wanted: Wanted) -> Preview:
    """The preview itself, as training, validation and export would do it; StudioError where that cannot be."""
    from studio.data.transforms.augmentation import Augmentation

    preprocessing = _preprocessing(wanted.backbone)
    augmentation = Augmentation.from_transforms(wanted.transforms)
    rows = (_seen(wanted, place, preprocessing, augmentation) for place in range(len(wanted.paths)))
    return Preview(tuple(row for row in rows if row), preprocessing)


def _seen(
    wanted: Wanted, place: int, preprocessing: "Preprocessing", augmentation: "Augmentation | None"
) -> Seen | None:
    """One row; None where the image cannot be read, which the findings say."""
    from studio.data.images.decode import UnreadableImageError

    path, index = wanted.paths[place], wanted.turn * IMAGES + place
    try:
        pixels = _pixels(wanted.root / path, preprocessing)
    except UnreadableImageError:
        return None
    variants = (
        augmentation.apply(pixels, wanted.seed, epoch, index) if augmentation else pixels for epoch in range(VARIANTS)
    )
    changed = tuple(_image(variant) for variant in variants)
    return Seen(path.name, small_picture(wanted.root / path, SIDE), _image(pixels), changed)


def _image(pixels: "Pixels") -> QImage:
    height, width = pixels.shape[:2]
    return from_rgb(pixels.tobytes(), width, height)


@lru_cache(maxsize=64)
def _pixels(path: Path, preprocessing: "Preprocessing") -> "Pixels":
    from studio.data.images.decode import read_image

    return preprocessing.to_pixels(read_image(path, target_size=preprocessing.resize_size))


@lru_cache(maxsize=8)
def _preprocessing(backbone: Backbone) -> "Preprocessing":
    from studio.backbones.loading import resolve_preprocessing, build_on_meta

    return resolve_preprocessing(build_on_meta(backbone))
