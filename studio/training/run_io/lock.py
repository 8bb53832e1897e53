"""One writer for each run directory.

The system releases the lock when the process ends.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from studio.core.errors import StudioError, write_error
from studio.core.messages import N_

LOCK_FILE = ".lock"
_RETRY_SECONDS = 0.25
"""Time that a writer tries for, because :func:`is_locked` holds the lock for a moment."""


def is_locked(folder: Path) -> bool:
    """Return whether a process, this one or another, trains the run in ``folder`` now."""
    if not (folder / LOCK_FILE).exists():
        return False
    try:
        with _file_lock(folder).acquire(timeout=0):
            return False
    except OSError:  # held, or in a folder that this user cannot write
        return True


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Be the only writer of a run directory.

    Raise StudioError if there is another one, or the directory cannot be written.
    """
    if not folder.is_dir():
        missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        raise write_error(N_("the run"), folder, missing)
    lock = _file_lock(folder)
    try:
        lock.acquire(timeout=_RETRY_SECONDS)
    except Timeout as error:
        raise StudioError(
            "run-in-use", "The run {path} is already being trained. Wait for it, or stop it first.", path=str(folder)
        ) from error
    except OSError as error:
        raise write_error(N_("the run"), folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _file_lock(folder: Path) -> FileLock:
    # A generator that trains may be closed in another thread than the one that started it.
    return FileLock(folder / LOCK_FILE, thread_local=False)
