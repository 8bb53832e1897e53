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
from studio.ui.services.background import WorkerThread

THUMBNAIL_PIXELS = 128
"""Width and height in pixels."""
_MAX_IN_MEMORY = 1_500
_MAX_PENDING = 400
_BATCH_SIZE = 8
_MIN_CACHED_BYTES = 32_768
"""Pictures of files of fewer bytes than this are made again: that is as quick as reading a kept one."""
_MAX_ON_DISK = 50_000


class Thumbnails(QObject):
    """``loaded`` tells that pictures which were asked for are there now."""

    loaded = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = WorkerThread("thumbnails", self)
        self._lock = threading.Lock()
        self._pending: OrderedDict[Path, None] = OrderedDict()
        self._pixmaps: OrderedDict[Path, QPixmap] = OrderedDict()
        self._worker.submit(_evict)

    def pixmap(self, path: Path) -> QPixmap | None:
        """The picture of ``path``, null where it cannot be read; None where it has yet to be made, which begins now."""
        found = self._pixmaps.get(path)
        if found is None:
            self._request(path)
        else:
            self._pixmaps.move_to_end(path)
        return found

    def clear(self) -> None:
        """Make all pictures anew: the files may have changed."""
        self._pixmaps.clear()

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            self._pending.clear()
        self._worker.close()

    def _request(self, path: Path) -> None:
        """Put ``path`` first; what was asked for long ago is no longer in view."""
        with self._lock:
            idle = not self._pending
            self._pending[path] = None
            self._pending.move_to_end(path)
            if len(self._pending) > _MAX_PENDING:
                self._pending.popitem(last=False)
        if idle:
            self._worker.submit(self._render_batch, self._store, key="make")

    def _store(self, pictures: Sequence[tuple[Path, QImage]]) -> None:
        for path, image in pictures:
            self._pixmaps[path] = QPixmap.fromImage(image)
            if len(self._pixmaps) > _MAX_IN_MEMORY:
                self._pixmaps.popitem(last=False)
        with self._lock:
            more = bool(self._pending)
        if more:
            self._worker.submit(self._render_batch, self._store, key="make")
        if pictures:
            self.loaded.emit()

    def _render_batch(self) -> list[tuple[Path, QImage]]:
        """On the lane's thread: the newest few of what is wanted."""
        with self._lock:
            paths = [self._pending.popitem()[0] for _ in range(min(_BATCH_SIZE, len(self._pending)))]
        return [(path, cached_thumbnail(path)) for path in paths]


def cached_thumbnail(path: Path) -> QImage:
    """As :func:`render_thumbnail` at the usual size; that of a large file is kept on disk until the file changes."""
    try:
        now = path.stat()
    except OSError:
        return QImage()
    if now.st_size < _MIN_CACHED_BYTES:
        return render_thumbnail(path, THUMBNAIL_PIXELS)
    named = os.fsencode(path) + f"/{now.st_size}/{now.st_mtime_ns}/{THUMBNAIL_PIXELS}".encode()
    file = _cache_folder() / f"{hashlib.sha256(named).hexdigest()[:32]}.jpg"
    image = QImage(str(file))
    if image.isNull():
        image = render_thumbnail(path, THUMBNAIL_PIXELS)
        _write_cached(image, file)
    return image


def render_thumbnail(path: Path, pixels: int) -> QImage:
    """The middle square of an image as training sees it, ``pixels`` pixels wide; null where it cannot be read."""
    from PIL import Image, ImageOps

    from studio.data.images.decode import UnreadableImageError, read_image

    try:
        image = read_image(path, target_size=(pixels, pixels))
    except UnreadableImageError:
        return QImage()
    coarse = max(image.size) * 2 < pixels
    fitted = ImageOps.fit(image, (pixels, pixels), Image.Resampling.NEAREST if coarse else Image.Resampling.BILINEAR)
    return qimage_from_rgb(fitted.tobytes(), pixels, pixels)


def qimage_from_rgb(pixels: bytes, width: int, height: int) -> QImage:
    """An image from 8-bit RGB values, which it keeps a copy of."""
    return QImage(pixels, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def _cache_folder() -> Path:
    return cache_dir() / "thumbnails"


def _write_cached(image: QImage, file: Path) -> None:
    """Write beside and rename, so that no other process reads half a picture; a full disk is no reason to fail."""
    temporary = file.with_suffix(f".{os.getpid()}.jpg")  # Qt tells the format from the name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if image.save(str(temporary), quality=85):
            temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)


def _evict() -> None:
    """Remove the older half where there are too many."""
    try:
        files = list(os.scandir(_cache_folder()))
        if len(files) > _MAX_ON_DISK:
            for entry in sorted(files, key=lambda entry: entry.stat().st_mtime)[: len(files) // 2]:
                os.unlink(entry.path)
    except OSError:
        return
