"""Folders in the cache that are filled once, from files that stay as they are."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from studio.core.errors import StudioError
from studio.core.paths import cache
from studio.data.images import shown


def filled_once(sources: Sequence[Path], fill: Callable[[Path], None]) -> Path:
    """The folder that ``fill`` made from ``sources``; it is called again only after one of them was changed.

    A folder is there whole or not at all. StudioError where it cannot be written.
    """
    try:
        folder = cache() / "sources" / _key(sources)
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            _fill(folder, fill)
        return folder
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StudioError(f"{shown(sources[0])} cannot be unpacked into {cache()}: {why}.") from error


def _fill(folder: Path, fill: Callable[[Path], None]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder.parent))
    try:
        fill(temporary)
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster, which is as good
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _key(sources: Sequence[Path]) -> str:
    """Of the files' places, sizes and times of change."""
    named = hashlib.sha256()
    for source in sources:
        now = source.stat()
        named.update(os.fsencode(source.resolve()) + f"/{now.st_size}/{now.st_mtime_ns}\n".encode())
    return named.hexdigest()[:24]
