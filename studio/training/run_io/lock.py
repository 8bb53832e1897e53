"""One writer a run directory. The operating system holds the lock, so that it ends with the process in any case."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from studio.core.errors import StudioError

LOCK_FILE = ".lock"
_MAX_RETRIES, _RETRY_SECONDS = 5, 0.05

if os.name == "nt":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(folder: Path) -> bool:
    """Whether a process trains the run in ``folder`` right now, this one or another."""
    try:
        with (folder / LOCK_FILE).open("rb+") as file:
            _try_lock(file)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _lock_with_retry(file: IO[bytes]) -> None:
    """Take the lock, if not at once then a moment later: somebody may just be looking whether it is held."""
    for _ in range(_MAX_RETRIES):
        try:
            return _try_lock(file)
        except OSError:
            time.sleep(_RETRY_SECONDS)
    return _try_lock(file)


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Be the only writer of a run directory; StudioError where there is another one, or the folder is read-only."""
    try:
        file = (folder / LOCK_FILE).open("ab")
    except OSError as error:
        raise StudioError(f"The run cannot be written to {folder}: {error.strerror}.") from error
    with file:
        try:
            _lock_with_retry(file)
        except OSError as error:
            raise StudioError(f"The run {folder} is being trained already; wait for it, or stop it first.") from error
        yield
