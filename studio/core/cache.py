"""A cache on disk that evicts the least recently used entries.

An entry is a file of JSON, or a folder with a manifest that is written last and lists each file with its size and
SHA-256. A damaged entry counts as missing. Several processes may use the same cache.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio.core.files import sha256_file, write_json

_MANIFEST, _PARTIAL_PREFIX = "manifest.json", ".part-"
_STALE_SECONDS = 24 * 3600


def cache_key(*parts: object) -> str:
    """Return the SHA-256 of ``parts`` as JSON, in hexadecimal digits.

    A value that JSON has no form for, such as a path, counts by its text.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class DiskCache:
    """Entries by key in ``folder``, of at most ``max_bytes`` together.

    ``hashed`` compares the files of an entry with their SHA-256 at each :meth:`get`; without it only their sizes, which
    is enough for many files that a slow check would make useless. Entries used within ``keep_seconds`` are never
    removed, because another process may be reading them; the newest one never is.
    """

    def __init__(self, folder: Path, max_bytes: int, *, hashed: bool = True, keep_seconds: float = 0) -> None:
        self._folder, self._max_bytes, self._hashed, self._keep_seconds = folder, max_bytes, hashed, keep_seconds

    def has_room(self, size: int) -> bool:
        """Return whether ``size`` bytes fit in the limit and half of the free disk space."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return size <= min(self._max_bytes, shutil.disk_usage(self._folder).free // 2)

    def get(self, key: str) -> Path | None:
        """Return the folder under ``key``; None where there is none, or it is damaged."""
        folder = self._folder / key
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            files = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))["files"]
            if all(self._file_facts(folder / name) == facts for name, facts in files.items()):
                _touch(folder / _MANIFEST)
                return folder
        return None

    def put(self, key: str, fill: Callable[[Path], None]) -> Path:
        """Let ``fill`` write the files of a new folder and return it under ``key``.

        Raises OSError where it cannot be written. An error in ``fill`` leaves nothing behind. If another process was
        faster, its folder is returned.
        """
        partial = self._folder / f"{_PARTIAL_PREFIX}{secrets.token_hex(8)}"
        partial.mkdir(parents=True)
        try:
            fill(partial)
            write_json(partial / _MANIFEST, {"files": self._list_files(partial)})
            self._publish(partial, key)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        self.evict()
        return self._folder / key

    def get_json(self, key: str) -> Any:
        """Return the JSON value under ``key``; None where there is none or it is damaged."""
        path = self._folder / f"{key}.json"
        with contextlib.suppress(OSError, ValueError):
            value = json.loads(path.read_text(encoding="utf-8"))
            _touch(path)
            return value
        return None

    def put_json(self, key: str, value: Any) -> None:
        """Save a JSON value under ``key``; OSError where it cannot be written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(self._folder / f"{key}.json", value)
        self.evict()

    def remove(self, key: str) -> None:
        """Remove the entry under ``key``, if there is one."""
        _remove(self._folder / key)
        _remove(self._folder / f"{key}.json")

    def evict(self) -> None:
        """Remove the least recently used entries beyond the limit.

        Also removes what killed processes left half written a day ago or earlier.
        """
        now, left = time.time(), self._max_bytes
        by_use = sorted(map(_last_used, self._folder.iterdir()), reverse=True)
        for used, partial in (found for found in by_use if found[1].name.startswith(".")):
            if now - used > _STALE_SECONDS:
                _remove(partial)
        for index, (used, entry) in enumerate(found for found in by_use if not found[1].name.startswith(".")):
            left -= _size(entry)
            if left < 0 and index and now - used >= self._keep_seconds:
                _remove(entry)

    def _publish(self, partial: Path, key: str) -> None:
        target = self._folder / key
        if self.get(key) is None:
            shutil.rmtree(target, ignore_errors=True)
            with contextlib.suppress(OSError):
                partial.rename(target)
        if not target.is_dir():
            raise OSError(f"{target} cannot be written")

    def _list_files(self, folder: Path) -> dict[str, list[Any]]:
        files = (file for file in sorted(folder.rglob("*")) if file.is_file())
        return {file.relative_to(folder).as_posix(): self._file_facts(file) for file in files}

    def _file_facts(self, file: Path) -> list[Any]:
        return [file.stat().st_size, sha256_file(file) if self._hashed else ""]


def _touch(path: Path) -> None:
    with contextlib.suppress(OSError):  # a cache that may only be read is as good
        os.utime(path)


def _last_used(entry: Path) -> tuple[float, Path]:
    with contextlib.suppress(OSError):
        manifest = entry / _MANIFEST
        return (manifest if manifest.exists() else entry).stat().st_mtime, entry
    return 0.0, entry


def _size(entry: Path) -> int:
    with contextlib.suppress(OSError):  # removed by another process
        return (
            sum(f.stat().st_size for f in entry.rglob("*") if f.is_file()) if entry.is_dir() else entry.stat().st_size
        )
    return 0


def _remove(entry: Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        entry.unlink()
