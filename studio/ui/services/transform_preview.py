"""Real images through the real transform: what validation and export see, and what training makes of it."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from studio.core.recipe import Backbone, Transforms
from studio.ui.services.background import WorkerThread
from studio.ui.services.error_text import error_message
from studio.ui.services.thumbnails import qimage_from_rgb, render_thumbnail

if TYPE_CHECKING:
    from studio.data.dataset.index import DatasetIndex
    from studio.data.transforms.augmentation import Augmentation
    from studio.data.transforms.preprocessing import Pixels, Preprocessing

PREVIEW_ROWS, VARIANTS = 4, 4
PREVIEW_PIXELS = 160


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One image: as it is, as validation and export see it, and as training sees it in several epochs."""

    name: str
    original: QImage
    preprocessed: QImage
    augmented: tuple[QImage, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """Rows of a preview and the preprocessing that made them, or why there are none."""

    rows: tuple[PreviewRow, ...] = ()
    preprocessing: "Preprocessing | None" = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """Input of a preview; another ``page`` selects other images."""

    root: Path
    paths: tuple[Path, ...]
    backbone: Backbone
    transforms: Transforms
    seed: int
    page: int = 0


class PreviewRenderer(QObject):
    """Makes a preview of what was asked for last; ``rendered`` carries a :class:`Preview`."""

    rendered = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = WorkerThread("preview", self)

    def request_preview(self, request: PreviewRequest) -> None:
        """Make a preview; what was asked for before and waits is dropped."""
        self._worker.submit(
            lambda: render_preview(request),
            self.rendered.emit,
            lambda error: self.rendered.emit(Preview(error=error_message(error))),
            "preview",
        )

    def close(self) -> None:
        """End the thread."""
        self._worker.close()


def choose_images(
    summary: "DatasetIndex", backbone: Backbone, transforms: Transforms, seed: int, page: int
) -> PreviewRequest:
    """A few training images, of different classes where there are several; each ``page`` brings others."""
    by_class: dict[int, list[Path]] = {}
    for image in summary.in_split("train"):
        by_class.setdefault(image.label, []).append(image.path)
    labels = sorted(by_class)
    paths = []
    for place in range(PREVIEW_ROWS if labels else 0):
        round_, which = divmod(page * PREVIEW_ROWS + place, len(labels))
        paths.append(by_class[labels[which]][round_ % len(by_class[labels[which]])])
    return PreviewRequest(summary.path, tuple(dict.fromkeys(paths)), backbone, transforms, seed, page)


def render_preview(request: PreviewRequest) -> Preview:
    """Return the preview with the transforms of training, validation and export; StudioError if they fail."""
    from studio.data.transforms.augmentation import Augmentation

    preprocessing = _preprocessing(request.backbone)
    augmentation = Augmentation.from_transforms(request.transforms)
    rows = (_render_row(request, place, preprocessing, augmentation) for place in range(len(request.paths)))
    return Preview(tuple(row for row in rows if row), preprocessing)


def _render_row(
    request: PreviewRequest, position: int, preprocessing: "Preprocessing", augmentation: "Augmentation | None"
) -> PreviewRow | None:
    """Return one row; None if the image cannot be read, which is one of the issues."""
    from studio.data.images.decode import UnreadableImageError

    path, index = request.paths[position], request.page * PREVIEW_ROWS + position
    try:
        pixels = _pixels(request.root / path, preprocessing)
    except UnreadableImageError:
        return None
    variants = (
        augmentation.apply(pixels, request.seed, epoch, index) if augmentation else pixels for epoch in range(VARIANTS)
    )
    changed = tuple(_to_qimage(variant) for variant in variants)
    return PreviewRow(path.name, render_thumbnail(request.root / path, PREVIEW_PIXELS), _to_qimage(pixels), changed)


def _to_qimage(pixels: "Pixels") -> QImage:
    height, width = pixels.shape[:2]
    return qimage_from_rgb(pixels.tobytes(), width, height)


@lru_cache(maxsize=64)
def _pixels(path: Path, preprocessing: "Preprocessing") -> "Pixels":
    from studio.data.images.decode import read_image

    return preprocessing.to_pixels(read_image(path, target_size=preprocessing.resize_size))


@lru_cache(maxsize=8)
def _preprocessing(backbone: Backbone) -> "Preprocessing":
    from studio.backbones.loading import build_on_meta, resolve_preprocessing

    return resolve_preprocessing(build_on_meta(backbone))
