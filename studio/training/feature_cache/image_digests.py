"""SHA-256 of image files, remembered by size and time of change."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from studio.core import paths
from studio.core.cache import DiskCache, cache_key
from studio.core.files import sha256_file
from studio.data.images.image_metadata import MetadataCache, file_stamp

_MAX_BYTES = 256 << 20


def image_digests(root: Path, images: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of each image in ``root``, reading only unknown files.

    Known are those that a check of the data, or an earlier call, has read. Raise OSError for a file that is gone.
    """
    cache, key = DiskCache(paths.cache_dir() / "digests", _MAX_BYTES), cache_key(str(root.resolve()))
    remembered: dict[str, list[str]] = cache.get_json(key) or {}
    known = {stamp: metadata.digest for stamp, metadata in MetadataCache.load(root).by_stamp.items()}
    known |= dict(remembered.values())
    with ThreadPoolExecutor(thread_name_prefix="digests") as pool:
        digests = list(pool.map(partial(_digest, root, known), images))
    if any(stamp not in known for stamp, _ in digests):
        new = {image.as_posix(): list(row) for image, row in zip(images, digests, strict=True)}
        with suppress(OSError):
            cache.put_json(key, remembered | new)
    return [digest for _, digest in digests]


def _digest(root: Path, known: Mapping[str, str], image: Path) -> tuple[str, str]:
    stamp = file_stamp(root, image)
    return stamp, known.get(stamp) or sha256_file(root / image)
