"""Atomic writes: a reader sees the old file or folder or the new one, not a part."""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_UMASK = os.umask(0)
os.umask(_UMASK)  # it can only be read by setting it


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path, whose file replaces ``path`` when the block ends.

    The block, or a library in it, writes the file there, beside ``path``; then it is flushed to the disk and renamed.
    After an error ``path`` is as before and no temporary file is left. The temporary name has the same suffix.
    """
    temporary = _temporary_beside(path)
    try:
        yield temporary
        _share(temporary)
        _flush(temporary)
        temporary.replace(path)
        _flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes by :func:`atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text by :func:`atomic_write`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON by :func:`atomic_write`; ValueError for NaN and infinity."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path``, which replaces it when the block ends.

    The files in it are flushed to the disk before it takes the name, and an old folder ``path`` is removed last. After
    an error ``path`` is as before and no temporary folder is left.
    """
    new = _temporary_beside(path)
    new.mkdir(parents=True)
    try:
        yield new
        for file in new.rglob("*"):
            if file.is_file() and not file.is_symlink():
                _share(file)
                _flush(file)
        _swap_folder(new, path)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits; OSError if unreadable."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _swap_folder(new: Path, path: Path) -> None:
    """Rename ``new`` to ``path``; an old folder returns if that fails."""
    old = _temporary_beside(path)
    if path.exists():
        path.rename(old)
    try:
        new.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    _flush_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def _temporary_beside(path: Path) -> Path:
    return path.absolute().with_name(f".{secrets.token_hex(4)}.{path.name}")


def _share(file: Path) -> None:
    """Give a file the permissions of any new file; safetensors lets only the owner read it."""
    file.chmod(file.stat().st_mode | 0o666 & ~_UMASK)


def _flush(file: Path) -> None:
    with file.open("rb+") as opened:  # Windows flushes only what is open for writing
        os.fsync(opened.fileno())


def _flush_folder(folder: Path) -> None:
    """Flush the names in ``folder``, where the system can do that."""
    if os.name != "nt":
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
