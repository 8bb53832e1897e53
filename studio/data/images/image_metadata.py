"""Metadata of image files, read once and cached until a file changes."""

import contextlib
import hashlib
import json
import os
import stat
import warnings
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from studio.core.cache import DiskCache, cache_key
from studio.core.files import write_text
from studio.core.paths import cache_dir
from studio.data.images.decode import decode_error, irregular_file_error, restore_reason, to_upright_rgb
from studio.data.images.file_index import ProgressCallback, no_progress

_HASH_EDGE = 8
_DECODE_SIZE = (64, 64)
_VERSION = 2
"""Part of the cache key: increase it when other values are computed."""
_MAX_CACHE_BYTES = 1 << 30
_CACHE_FILE = "metadata.jsonl"


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """Metadata of one image file.

    ``error_kind`` is the kind of the error that makes it unusable and ``reason`` its text; both are "" for a good one.
    ``digest`` is the SHA-256 of the bytes, ``fingerprint`` the 64-bit difference hash of the upright image, and
    ``thumbnail`` its 8 x 8 RGB values in hexadecimal digits.
    """

    digest: str = ""
    error_kind: str = ""
    reason: str = ""
    format: str = ""
    mode: str = ""
    width: int = 0
    height: int = 0
    animated: bool = False
    exif_rotated: bool = False
    transparent: bool = False
    fingerprint: int = 0
    thumbnail: str = ""


def read_metadata(path: Path, cached: Mapping[str, ImageMetadata] | None = None) -> ImageMetadata:
    """Read one file; contents in ``cached``, by digest, are not decoded again."""
    digest = ""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would block
            return ImageMetadata("", *irregular_file_error())
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if cached is not None and digest in cached:
                return cached[digest]
            file.seek(0)
            with Image.open(file) as image:
                return ImageMetadata(
                    digest, **_header_metadata(image), **_content_metadata(to_upright_rgb(image, _DECODE_SIZE))
                )
    except Exception as error:  # a damaged file makes a decoder raise anything
        return ImageMetadata(digest, *decode_error(path, error))


def _header_metadata(image: Image.Image) -> dict[str, Any]:
    """Return the header's values; call it before decoding, which may reduce the size."""
    animated = bool(getattr(image, "is_animated", False)) and image.format != "MPO"  # a phone's photo with its preview
    return {
        "format": image.format or "",
        "mode": image.mode,
        "width": image.width,
        "height": image.height,
        "animated": animated,
        "exif_rotated": image.getexif().get(0x0112, 1) not in (0, 1),
        "transparent": image.has_transparency_data,
    }


def _content_metadata(image: Image.Image) -> dict[str, Any]:
    thumbnail = image.resize((_HASH_EDGE, _HASH_EDGE), Image.Resampling.BOX)
    return {"fingerprint": dhash(image), "thumbnail": thumbnail.tobytes().hex()}


def dhash(image: Image.Image) -> int:
    """Return the 64-bit difference hash: 9 x 8 gray pixels against the left neighbors."""
    gray = np.asarray(image.convert("L").resize((_HASH_EDGE + 1, _HASH_EDGE), Image.Resampling.BOX), dtype=np.int16)
    bits = np.packbits(gray[:, 1:] > gray[:, :-1])
    return int.from_bytes(bits.tobytes(), "big")


@dataclass(slots=True)
class MetadataCache:
    """Cached metadata of a folder, by stamp (path, size, time of change) and digest."""

    root: Path
    by_stamp: dict[str, ImageMetadata] = field(default_factory=dict)
    by_digest: dict[str, ImageMetadata] = field(default_factory=dict)

    @classmethod
    def load(cls, root: Path) -> Self:
        """Return the cache of the folder ``root``, empty if there is none or it is broken."""
        cached = cls(root)
        folder = _disk_cache().get(_cache_key(root))
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            lines = (folder / _CACHE_FILE).read_text(encoding="utf-8").splitlines() if folder else []
            cached.by_stamp = {stamp: _restore(values) for stamp, values in map(json.loads, lines)}
        cached.by_digest = {metadata.digest: metadata for metadata in cached.by_stamp.values() if metadata.digest}
        return cached

    def get_or_read(self, root: Path, path: Path) -> tuple[str, ImageMetadata]:
        """Return a file's stamp, "" for none, and its metadata; opens unknown files only."""
        try:
            stamp = file_stamp(root, path)
        except OSError as error:
            return "", ImageMetadata("", *decode_error(root / path, error))
        return stamp, self.by_stamp.get(stamp) or read_metadata(root / path, self.by_digest)

    def save(self, metadata: Mapping[str, ImageMetadata]) -> None:
        """Replace the cache by ``metadata``, by stamp; ignores a full disk.

        Each line is encoded alone, because encoding all at once would block the other threads.
        """
        rows = [[stamp, asdict(values)] for stamp, values in metadata.items() if stamp and values.digest]
        # ASCII, because a file name need not be valid Unicode
        text = "\n".join(json.dumps(row, ensure_ascii=True) for row in rows)
        with contextlib.suppress(OSError):
            _disk_cache().remove(_cache_key(self.root))
            _disk_cache().put(_cache_key(self.root), lambda folder: write_text(folder / _CACHE_FILE, text))


def _restore(values: dict[str, Any]) -> ImageMetadata:
    return ImageMetadata(**values | {"reason": restore_reason(values["reason"])})


def _disk_cache() -> DiskCache:
    return DiskCache(cache_dir() / "checks", _MAX_CACHE_BYTES)


def _cache_key(root: Path) -> str:
    return cache_key(_VERSION, os.fsencode(root.resolve()).hex())


def file_stamp(root: Path, path: Path) -> str:
    """Return a file's path, size and time of change; raise OSError if it is gone."""
    status = (root / path).stat()
    return f"{path.as_posix()}/{status.st_size}/{status.st_mtime_ns}"


def read_all_metadata(
    root: Path, paths: Sequence[Path], progress: ProgressCallback = no_progress
) -> Generator[tuple[Path, ImageMetadata], None, None]:
    """Yield each file's metadata in order; closing the iterator stops its threads.

    ``progress`` is called for each in the caller's thread. At the end, or when stopped, all metadata is cached.
    """
    cache = MetadataCache.load(root)
    read: dict[str, ImageMetadata] = {}
    threads = min(8, max(1, (os.cpu_count() or 1) - 1))  # one CPU stays free for the window
    pool = ThreadPoolExecutor(threads, thread_name_prefix="checks")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for path, (stamp, metadata) in zip(paths, pool.map(partial(cache.get_or_read, root), paths), strict=True):
                read[stamp] = metadata
                progress("check", len(read), len(paths))
                yield path, metadata
    finally:
        pool.shutdown(cancel_futures=True)
        cache.save(cache.by_stamp | read if len(read) < len(paths) else read)
