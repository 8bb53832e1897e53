"""The recipe's folder of images, scanned in the background whenever its path changes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QSize, Qt, Signal
from PySide6.QtGui import QImage, QImageReader

from studio.core.paths import locate
from studio.core.recipe import Data, Recipe
from studio.ui.jobs import Lane, sentence

if TYPE_CHECKING:
    from studio.data.folder import DatasetSummary

THUMBNAIL = 72
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture of one image with the name of its class."""

    image: QImage
    label: str
    path: Path


@dataclass(frozen=True, slots=True)
class Scan:
    """What is known of the folder at ``path``: nothing yet while ``busy``, then a summary or an error."""

    path: str = ""
    busy: bool = False
    summary: "DatasetSummary | None" = None
    thumbnails: tuple[Thumbnail, ...] = ()
    error: str = ""

    @property
    def classes(self) -> int:
        """Number of classes; 0 while unknown."""
        return len(self.summary.classes) if self.summary else 0


class Images(QObject):
    """Follows the recipe; tells what is in its folder."""

    changed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = Lane("images", self)
        self._data: Data | None = None
        self.scan = Scan()

    def follow(self, recipe: Recipe) -> None:
        """Scan the folder of ``recipe`` where it or its split is another than before."""
        before, self._data = self._data, recipe.data
        if before is None or (before.path, before.split) != (recipe.data.path, recipe.data.split):
            self.rescan()

    def rescan(self) -> None:
        """Scan again: the folder may have changed."""
        data = self._data
        if data is None or not data.path:
            self._show(Scan())
            return
        self._show(Scan(data.path, busy=True))
        self._lane.submit(
            lambda: _scan(data),
            lambda scan: self._show(scan) if scan.path == self.scan.path else None,
            lambda error: self._show(Scan(data.path, error=sentence(error))),
            key="scan",
        )

    def close(self) -> None:
        """End the thread."""
        self._lane.close()

    def _show(self, scan: Scan) -> None:
        self.scan = scan
        self.changed.emit(scan)


def _scan(data: Data) -> Scan:
    from studio.data.checks import check

    summary = check(locate(data.path), data)
    return Scan(data.path, summary=summary, thumbnails=_thumbnails(summary))


def _thumbnails(summary: "DatasetSummary") -> tuple[Thumbnail, ...]:
    """A few images of each class in turn, evenly spread over the classes."""
    by_class = [[i for i in summary.images if i.label == label] for label in range(len(summary.classes))]
    each = max(1, _SHOWN // max(1, len(by_class)))
    chosen = [image for images in by_class for image in images[:each]][:_SHOWN]
    return tuple(
        Thumbnail(picture, summary.classes[image.label], summary.path / image.path)
        for image in chosen
        if not (picture := small_picture(summary.path / image.path, THUMBNAIL)).isNull()
    )


def small_picture(path: Path, side: int) -> QImage:
    """The middle square of the image in ``path``, upright and ``side`` pixels wide; null where it cannot be read."""
    reader = QImageReader(str(path))
    reader.setAutoTransform(True)
    reader.setDecideFormatFromContent(True)
    if reader.size().isValid():
        reader.setScaledSize(reader.size().scaled(QSize(side, side), Qt.AspectRatioMode.KeepAspectRatioByExpanding))
    image = reader.read()
    return (
        image.copy((image.width() - side) // 2, (image.height() - side) // 2, side, side)
        if not image.isNull()
        else image
    )
