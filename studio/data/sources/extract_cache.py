"""Cache of extracted sources: folders filled once from files that do not change."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from studio.core.cache import DiskCache, cache_key
from studio.core.errors import StudioError
from studio.core.paths import cache_dir
from studio.data.images.path_text import display_path

_MAX_BYTES = 64 << 30
_KEEP_SECONDS = 7 * 24 * 3600
"""A training on extracted images may last for days."""
_CONTENT = "content"
"""Subfolder of the content, so that no file in it has the name of the cache's manifest."""


def cached_extract(sources: Sequence[Path], fill: Callable[[Path], None]) -> Path:
    """Return the folder that ``fill`` made; fills again only if a source changed.

    The folder is complete or missing. StudioError if it cannot be written.
    """

    def fill_content(folder: Path) -> None:
        (folder / _CONTENT).mkdir()
        fill(folder / _CONTENT)

    cache = DiskCache(cache_dir() / "sources", _MAX_BYTES, hashed=False, keep_seconds=_KEEP_SECONDS)
    try:
        key = cache_key(*map(_stamp, sources))[:24]  # the paths inside must stay short on Windows
        return (cache.get(key) or cache.put(key, fill_content)) / _CONTENT
    except OSError as error:
        raise StudioError(
            "cannot-write",
            "{path} cannot be extracted into {folder}: {reason}. Make room on the disk, or extract it yourself.",
            path=display_path(sources[0]),
            folder=display_path(cache_dir()),
            reason=(error.strerror or str(error)).lower(),
        ) from error


def _stamp(source: Path) -> tuple[str, int, int]:
    """Return the path's bytes in hexadecimal digits, size and time of change."""
    now = source.stat()  # hexadecimal, because a path need not be valid Unicode
    return os.fsencode(source.resolve()).hex(), now.st_size, now.st_mtime_ns
