"""Folders in the cache that are filled once, from files that stay as they are."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from studio.core.errors import StudioError
from studio.core.paths import cache
from studio.data.images.path_text import shown

UNUSED_DAYS = 30
"""What was unpacked and not used for so long is removed when something else is unpacked,"""
REPLACED_DAYS = 1
"""and so is what was left half done, or came from a file that has changed since, after this."""
_PARTIAL = ".unpacking-"


def filled_once(sources: Sequence[Path], fill: Callable[[Path], None]) -> Path:
    """The folder that ``fill`` made from ``sources``; it is called again only after one of them was changed.

    A folder is there whole or not at all. StudioError where it cannot be written.
    """
    try:
        folder = cache() / "sources" / f"{_places(sources)}-{_stamps(sources)}"
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            _fill(folder, fill)
            tidy(folder)
        os.utime(folder)  # for tidy, which is how old a folder's last use is
        return folder
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StudioError(f"{shown(sources[0])} cannot be unpacked into {cache()}: {why}.") from error


def tidy(new: Path) -> None:
    """Remove the folders beside ``new`` that are of no use any more; what cannot be removed stays."""
    same = new.name.partition("-")[0] + "-"
    for folder in new.parent.iterdir():
        short = folder.name.startswith((_PARTIAL, same))
        if folder != new and _days_old(folder) > (REPLACED_DAYS if short else UNUSED_DAYS):
            shutil.rmtree(folder, ignore_errors=True)


def _days_old(folder: Path) -> float:
    try:
        return (time.time() - folder.stat().st_mtime) / 86_400
    except OSError:  # another process was faster
        return 0.0


def _fill(folder: Path, fill: Callable[[Path], None]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder.parent))
    try:
        fill(temporary)
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster, which is as good
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _places(sources: Sequence[Path]) -> str:
    return _hashed(os.fsencode(source.resolve()) for source in sources)


def _stamps(sources: Sequence[Path]) -> str:
    """Of the files' sizes and times of change."""
    return _hashed(f"{now.st_size}/{now.st_mtime_ns}".encode() for now in (source.stat() for source in sources))


def _hashed(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
