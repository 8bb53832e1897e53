"""Small pictures of image files: asked for while they are in view, made in the background, kept for later."""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage, QPixmap

from studio.core.paths import cache_dir
from studio.ui.services.background import Lane

SIDE = 128
"""Width and height in pixels."""
_IN_MEMORY = 1_500
_WAITING = 400
_AT_ONCE = 8
_LARGE_BYTES = 32_768
"""Pictures of files of fewer bytes than this are made again: that is as quick as reading a kept one."""
_ON_DISK = 50_000


class Thumbnails(QObject):
    """``made`` tells that pictures which were asked for are there now."""

    made = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = Lane("thumbnails", self)
        self._lock = threading.Lock()
        self._wanted: OrderedDict[Path, None] = OrderedDict()
        self._kept: OrderedDict[Path, QPixmap] = OrderedDict()
        self._lane.submit(_tidy)

    def picture(self, path: Path) -> QPixmap | None:
        """The picture of ``path``, null where it cannot be read; None where it has yet to be made, which begins now."""
        found = self._kept.get(path)
        if found is None:
            self._want(path)
        else:
            self._kept.move_to_end(path)
        return found

    def forget(self) -> None:
        """Make all pictures anew: the files may have changed."""
        self._kept.clear()

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            self._wanted.clear()
        self._lane.close()

    def _want(self, path: Path) -> None:
        """Put ``path`` first; what was asked for long ago is no longer in view."""
        with self._lock:
            idle = not self._wanted
            self._wanted[path] = None
            self._wanted.move_to_end(path)
            if len(self._wanted) > _WAITING:
                self._wanted.popitem(last=False)
        if idle:
            self._lane.submit(self._make, self._take, key="make")

    def _take(self, pictures: Sequence[tuple[Path, QImage]]) -> None:
        for path, image in pictures:
            self._kept[path] = QPixmap.fromImage(image)
            if len(self._kept) > _IN_MEMORY:
                self._kept.popitem(last=False)
        with self._lock:
            more = bool(self._wanted)
        if more:
            self._lane.submit(self._make, self._take, key="make")
        if pictures:
            self.made.emit()

    def _make(self) -> list[tuple[Path, QImage]]:
        """On the lane's thread: the newest few of what is wanted."""
        with self._lock:
            paths = [self._wanted.popitem()[0] for _ in range(min(_AT_ONCE, len(self._wanted)))]
        return [(path, kept_picture(path)) for path in paths]


def kept_picture(path: Path) -> QImage:
    """As :func:`small_picture` at the usual size; that of a large file is kept on disk until the file changes."""
    try:
        now = path.stat()
    except OSError:
        return QImage()
    if now.st_size < _LARGE_BYTES:
        return small_picture(path, SIDE)
    named = os.fsencode(path) + f"/{now.st_size}/{now.st_mtime_ns}/{SIDE}".encode()
    file = _folder() / f"{hashlib.sha256(named).hexdigest()[:32]}.jpg"
    image = QImage(str(file))
    if image.isNull():
        image = small_picture(path, SIDE)
        _keep(image, file)
    return image


def small_picture(path: Path, side: int) -> QImage:
    """The middle square of an image as training sees it, ``side`` pixels wide; null where it cannot be read."""
    from PIL import Image, ImageOps

    from studio.data.images.decode import UnreadableImageError, read_image

    try:
        image = read_image(path, target_size=(side, side))
    except UnreadableImageError:
        return QImage()
    coarse = max(image.size) * 2 < side
    fitted = ImageOps.fit(image, (side, side), Image.Resampling.NEAREST if coarse else Image.Resampling.BILINEAR)
    return from_rgb(fitted.tobytes(), side, side)


def from_rgb(pixels: bytes, width: int, height: int) -> QImage:
    """An image from 8-bit RGB values, which it keeps a copy of."""
    return QImage(pixels, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def _folder() -> Path:
    return cache_dir() / "thumbnails"


def _keep(image: QImage, file: Path) -> None:
    """Write beside and rename, so that no other process reads half a picture; a full disk is no reason to fail."""
    temporary = file.with_suffix(f".{os.getpid()}.jpg")  # Qt tells the format from the name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if image.save(str(temporary), quality=85):
            temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)


def _tidy() -> None:
    """Remove the older half where there are too many."""
    try:
        files = list(os.scandir(_folder()))
        if len(files) > _ON_DISK:
            for entry in sorted(files, key=lambda entry: entry.stat().st_mtime)[: len(files) // 2]:
                os.unlink(entry.path)
    except OSError:
        return
