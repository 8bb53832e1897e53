"""IDX files, the format of MNIST and Fashion-MNIST: http://yann.lecun.com/exdb/mnist.

They become PNG files in the cache, so that everything that looks at files can look at them.
"""

import gzip
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.core.errors import StudioError
from studio.data.images.file_index import ProgressCallback, no_progress
from studio.data.images.path_text import display_path
from studio.data.sources.extract_cache import cached_extract

_FILE_PREFIXES = {"train": "train", "test": "t10k"}
_MAX_BYTES = 4 << 30
_UINT8_TYPE_CODE = 8


def is_idx(folder: Path) -> bool:
    """Whether a folder holds the training images as IDX."""
    return _find_file(folder, "train-images", 3) is not None


def find_idx_root(folder: Path) -> Path | None:
    """Where IDX files are: in a folder itself, or where torchvision keeps them below it; None where there are none.

    StudioError where several data sets are below it.
    """
    if is_idx(folder):
        return folder
    below = [place for place in (folder / "raw", *sorted(folder.glob("*/raw"))) if is_idx(place)]
    if len(below) > 1:
        names = " and ".join(display_path(place.parent.name) for place in below)
        raise StudioError(f"{display_path(folder)} holds several data sets, {names}; choose the folder of one of them.")
    return below[0] if below else None


def cached_png_folder(folder: Path, progress: ProgressCallback = no_progress) -> Path:
    """A folder in the cache with the images as PNG, by split and class; StudioError where a file is damaged."""
    files = [file for part in _FILE_PREFIXES.values() for file in _image_label_files(folder, part) or ()]
    return cached_extract(files, partial(_write_all, folder, progress))


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes, compressed or not; StudioError for anything else."""
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
            f"{display_path(path)} is damaged or no IDX file of {dimensions} dimensions; get it again."
        ) from error


def _find_file(folder: Path, name: str, dimensions: int) -> Path | None:
    names = (f"{name}{dot}idx{dimensions}-ubyte{gz}" for dot in "-." for gz in ("", ".gz"))
    return next((folder / file for file in names if (folder / file).is_file()), None)


def _image_label_files(folder: Path, part: str) -> tuple[Path, Path] | None:
    """The images and the labels of one part; None where neither is there."""
    images, labels = _find_file(folder, f"{part}-images", 3), _find_file(folder, f"{part}-labels", 1)
    if images and labels:
        return images, labels
    if alone := images or labels:
        raise StudioError(
            f"{display_path(alone)} is there without its images or labels; put both files into the folder."
        )
    return None


def _write_all(folder: Path, progress: ProgressCallback, target: Path) -> None:
    for split, part in _FILE_PREFIXES.items():
        if pair := _image_label_files(folder, part):
            _write(*pair, target / split, progress)


def _write(images_file: Path, labels_file: Path, target: Path, progress: ProgressCallback) -> None:
    images, labels = read_idx(images_file, 3), read_idx(labels_file, 1)
    if len(images) != len(labels) or not images.size:
        raise StudioError(
            f"{display_path(images_file)} does not have as many images as there are labels; get both again."
        )
    for label in np.unique(labels):
        (target / str(label)).mkdir(parents=True)

    def write(place: int) -> None:
        Image.fromarray(images[place]).save(target / str(labels[place]) / f"{place:06}.png", compress_level=1)

    with ThreadPoolExecutor() as pool:
        try:
            for done, _ in enumerate(pool.map(write, range(len(images))), 1):
                progress("unpack", done, len(images))
        finally:
            pool.shutdown(cancel_futures=True)
