"""Checkpoints that survive a kill at any instant, and are checked on reading.

A checkpoint is a folder. Its tensors (safetensors) and values (JSON) are written under new names, then
``manifest.json`` with their SHA-256 replaces the old manifest, and the old files are removed. So the manifest names
intact files at every instant. If the disk has damaged them, another checkpoint of the run is the reserve.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from studio.core.errors import StudioError
from studio.core.files import atomic_write, sha256_file, write_bytes, write_json

MANIFEST = "manifest.json"
_PREVIOUS = "previous.json"
"""The manifest of a second, older generation in runs of the first version."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Named tensors and JSON values.

    ``damaged`` names newer files that could not be used, usually none.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]
    damaged: tuple[str, ...] = ()

    def section(self, name: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with ``name/``, without that prefix."""
        return {key.removeprefix(f"{name}/"): t for key, t in self.tensors.items() if key.startswith(f"{name}/")}


def write(folder: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write a checkpoint in place of the one before.

    Raise OSError if it cannot be written; the one before is then intact.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number, content = _next_number(folder), json.dumps(values, allow_nan=False).encode()
    hashes = {
        f"{number:06}.safetensors": write_tensors(folder / f"{number:06}.safetensors", tensors),
        f"{number:06}.json": hashlib.sha256(content).hexdigest(),
    }
    write_bytes(folder / f"{number:06}.json", content)
    write_json(folder / MANIFEST, {"format": 1, "files": hashes})
    _remove_others(folder, {MANIFEST, *hashes})


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> str:
    """Write a safetensors file atomically and return its SHA-256.

    Raise OSError if it cannot be written.
    """
    try:
        with atomic_write(path) as temporary:
            save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, temporary, metadata)
            return sha256_file(temporary)
    except SafetensorError as error:
        # The library reports a full disk as text alone: "... (os error 28)".
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code) if number else str(error)) from error


def read(folder: Path, *reserves: Path) -> Checkpoint | None:
    """Return the checkpoint in ``folder``; None if none was completed.

    If it is missing or damaged, the first intact one of ``reserves`` takes its place. Raise StudioError if there are
    some and all are damaged.
    """
    damaged: list[str] = []
    for manifest in (each / name for each in (folder, *reserves) for name in (MANIFEST, _PREVIOUS)):
        if manifest.exists():
            try:
                return _read(manifest, tuple(damaged))
            except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
                damaged.append(f"{manifest.parent.name}/{manifest.name} ({error})")
    if damaged:
        raise StudioError(
            "damaged-checkpoint",
            "No checkpoint in {path} can be read: {damaged}. Train the recipe as a new run.",
            path=str(folder.parent),
            damaged="; ".join(damaged),
        )
    return None


def _read(manifest: Path, damaged: tuple[str, ...]) -> Checkpoint:
    tensors, values = None, None
    for name, digest in json.loads(manifest.read_text(encoding="utf-8"))["files"].items():
        content = (manifest.parent / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"{name} differs from its SHA-256")
        if name.endswith(".safetensors"):
            tensors = load(content)
        else:
            values = json.loads(content)
    if tensors is None or values is None:
        raise ValueError("it lists too few files")
    return Checkpoint(tensors, values, damaged)


def _next_number(folder: Path) -> int:
    """Return a number that no file in the folder has."""
    return 1 + max((int(path.stem) for path in folder.iterdir() if path.stem.isdecimal()), default=0)


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove the files of older checkpoints, and temporary ones of a killed process."""
    for path in folder.iterdir():
        if path.name not in names and path.is_file():
            path.unlink(missing_ok=True)
