"""IDX files, the format of MNIST: http://yann.lecun.com/exdb/mnist.

They are converted to PNG files in the cache.
"""

import gzip
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.data.images.file_index import ProgressCallback, no_progress
from studio.data.images.path_text import display_path
from studio.data.sources.contract import Source, register
from studio.data.sources.extract_cache import cached_extract

if TYPE_CHECKING:  # the window lists the sources at its start, before it needs numpy
    import numpy as np
    from numpy.typing import NDArray

_FILE_PREFIXES = {"train": "train", "test": "t10k"}
_MAX_BYTES = 4 << 30
_UINT8_TYPE_CODE = 8


@register
class IdxFolder(Source):
    """A folder of IDX files, or torchvision's with them at ``raw`` or ``NAME/raw``."""

    name = "idx"
    label = N_("IDX files")

    def accepts(self, path: Path) -> bool:
        """Return whether the training images are there as IDX."""
        return path.is_dir() and bool(_idx_folders(path))

    def unpack(self, path: Path, progress: ProgressCallback) -> Path:
        """Return a folder in the cache with the images as PNG, by split and class."""
        first, *others = _idx_folders(path)
        if others:
            names = ", ".join(display_path(folder.parent.name) for folder in (first, *others))
            raise StudioError(
                "several-sources",
                "{path} holds several data sets: {names}. Choose the folder of one of them.",
                path=display_path(path),
                names=names,
            )
        return cached_png_folder(first, progress)


def _idx_folders(path: Path) -> list[Path]:
    """Return ``path`` if it holds the training images, else torchvision's folders."""
    folders = [path] if _has_training_images(path) else [path / "raw", *sorted(path.glob("*/raw"))]
    return [folder for folder in folders if _has_training_images(folder)]


def _has_training_images(folder: Path) -> bool:
    return _find_file(folder, "train-images", 3) is not None


def cached_png_folder(folder: Path, progress: ProgressCallback = no_progress) -> Path:
    """Return a cached folder with the images as PNG; StudioError if a file is damaged."""
    files = [file for part in _FILE_PREFIXES.values() for file in _image_label_files(folder, part) or ()]
    return cached_extract(files, partial(_write_all, folder, progress))


def read_idx(path: Path, dimensions: int) -> "NDArray[np.uint8]":
    """Return the array of an IDX file of bytes, gzipped or not; else StudioError."""
    import numpy as np

    try:
        with cast(IO[bytes], gzip.open(path) if path.suffix == ".gz" else path.open("rb")) as file:
            if file.read(4) != bytes((0, 0, _UINT8_TYPE_CODE, dimensions)):
                raise ValueError("another kind of file")
            shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
            size = int(np.prod(shape, dtype=object))
            content = file.read(size + 1) if size <= _MAX_BYTES else b""
            return np.frombuffer(content, np.uint8).reshape(shape)
    except (ValueError, struct.error, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise StudioError(
            "damaged-source",
            "{path} is damaged or not an IDX file of {dimensions} dimensions. Download it again.",
            path=display_path(path),
            dimensions=dimensions,
        ) from error


def _find_file(folder: Path, name: str, dimensions: int) -> Path | None:
    names = (f"{name}{dot}idx{dimensions}-ubyte{gz}" for dot in "-." for gz in ("", ".gz"))
    return next((folder / file for file in names if (folder / file).is_file()), None)


def _image_label_files(folder: Path, part: str) -> tuple[Path, Path] | None:
    """Return the image and label files of one part; None if neither is there."""
    images, labels = _find_file(folder, f"{part}-images", 3), _find_file(folder, f"{part}-labels", 1)
    if images and labels:
        return images, labels
    if alone := images or labels:
        raise StudioError(
            "damaged-source",
            "{path} has no matching images or labels. Put both files into the folder.",
            path=display_path(alone),
        )
    return None


def _write_all(folder: Path, progress: ProgressCallback, target: Path) -> None:
    for split, part in _FILE_PREFIXES.items():
        if pair := _image_label_files(folder, part):
            _write(*pair, target / split, progress)


def _write(images_file: Path, labels_file: Path, target: Path, progress: ProgressCallback) -> None:
    import numpy as np
    from PIL import Image

    images, labels = read_idx(images_file, 3), read_idx(labels_file, 1)
    if len(images) != len(labels) or not images.size:
        raise StudioError(
            "damaged-source",
            "{path} has {images} images for {labels} labels. Download both files again.",
            path=display_path(images_file),
            images=len(images),
            labels=len(labels),
        )
    for label in np.unique(labels):
        (target / str(label)).mkdir(parents=True)

    def write(index: int) -> None:
        Image.fromarray(images[index]).save(target / str(labels[index]) / f"{index:06}.png", compress_level=1)

    with ThreadPoolExecutor() as pool:
        try:
            for done, _ in enumerate(pool.map(write, range(len(images))), 1):
                progress("unpack", done, len(images))
        finally:
            pool.shutdown(cancel_futures=True)
