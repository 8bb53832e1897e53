"""Folders in the cache that are filled once, from files that stay as they are."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from studio.core.errors import StudioError
from studio.core.paths import cache_dir
from studio.data.images.path_text import display_path

UNUSED_DAYS = 30
"""What was unpacked and not used for so long is removed when something else is unpacked,"""
REPLACED_DAYS = 1
"""and so is what was left half done, or came from a file that has changed since, after this."""
_PARTIAL_PREFIX = ".unpacking-"


def cached_extract(sources: Sequence[Path], fill: Callable[[Path], None]) -> Path:
    """The folder that ``fill`` made from ``sources``; it is called again only after one of them was changed.

    A folder is there whole or not at all. StudioError where it cannot be written.
    """
    try:
        folder = cache_dir() / "sources" / f"{_path_hash(sources)}-{_stamp_hash(sources)}"
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            _fill_atomically(folder, fill)
            evict_unused(folder)
        os.utime(folder)  # for tidy, which is how old a folder's last use is
        return folder
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StudioError(f"{display_path(sources[0])} cannot be unpacked into {cache_dir()}: {why}.") from error


def evict_unused(new: Path) -> None:
    """Remove the folders beside ``new`` that are of no use any more; what cannot be removed stays."""
    same = new.name.partition("-")[0] + "-"
    for folder in new.parent.iterdir():
        short = folder.name.startswith((_PARTIAL_PREFIX, same))
        if folder != new and _days_old(folder) > (REPLACED_DAYS if short else UNUSED_DAYS):
            shutil.rmtree(folder, ignore_errors=True)


def _days_old(folder: Path) -> float:
    try:
        return (time.time() - folder.stat().st_mtime) / 86_400
    except OSError:  # another process was faster
        return 0.0


def _fill_atomically(folder: Path, fill: Callable[[Path], None]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=_PARTIAL_PREFIX, dir=folder.parent))
    try:
        fill(temporary)
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster, which is as good
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _path_hash(sources: Sequence[Path]) -> str:
    return _hash_parts(os.fsencode(source.resolve()) for source in sources)


def _stamp_hash(sources: Sequence[Path]) -> str:
    """Of the files' sizes and times of change."""
    return _hash_parts(f"{now.st_size}/{now.st_mtime_ns}".encode() for now in (source.stat() for source in sources))


def _hash_parts(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
