"""Checkpoints that survive a kill at any instant, and tell when the disk has damaged them.

A checkpoint is a folder. Its tensors (safetensors) and values (JSON) are written beside the earlier ones under names of
their own, then ``manifest.json`` with their hashes replaces the one before, which stays as ``previous.json`` with its
files. So at any moment one of the two is whole.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from studio.core.errors import StudioError
from studio.core.files import write_bytes, write_json

MANIFEST, PREVIOUS = "manifest.json", "previous.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Named tensors and plain values. ``damaged`` names the newer files that could not be used, usually none."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]
    damaged: tuple[str, ...] = ()

    def section(self, name: str) -> dict[str, Tensor]:
        """The tensors whose names begin with ``name/``, without that."""
        return {key.removeprefix(f"{name}/"): t for key, t in self.tensors.items() if key.startswith(f"{name}/")}


def write(folder: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write a checkpoint; the one before stays until this one is complete, and after as the reserve."""
    folder.mkdir(parents=True, exist_ok=True)
    number = _next_number(folder)
    contents = {
        f"{number:06}.safetensors": save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}),
        f"{number:06}.json": json.dumps(values, allow_nan=False).encode(),
    }
    for name, content in contents.items():
        write_bytes(folder / name, content)
    if _is_intact(folder, MANIFEST):
        write_bytes(folder / PREVIOUS, (folder / MANIFEST).read_bytes())
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    write_json(folder / MANIFEST, {"format": 1, "files": hashes})
    _remove_unreferenced(folder)


def read(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint of a folder; None where none was ever completed.

    Raises StudioError where there were some and all are damaged.
    """
    damaged: list[str] = []
    for manifest in (MANIFEST, PREVIOUS):
        if not (folder / manifest).exists():
            continue
        try:
            return _read(folder, manifest, tuple(damaged))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            damaged.append(f"{folder.name}/{manifest} ({error})")
    if damaged:
        raise StudioError(f"The checkpoint {folder} is damaged, and so is the one before: {'; '.join(damaged)}.")
    return None


def _read(folder: Path, manifest: str, damaged: tuple[str, ...]) -> Checkpoint:
    tensors, values = None, None
    for name, digest in json.loads((folder / manifest).read_text(encoding="utf-8"))["files"].items():
        content = (folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"{name} is not what was written")
        if name.endswith(".safetensors"):
            tensors = load(content)
        else:
            values = json.loads(content)
    if tensors is None or values is None:
        raise ValueError("it lists too few files")
    return Checkpoint(tensors, values, damaged)


def _next_number(folder: Path) -> int:
    """A number that no file in the folder has: writing never touches a file that a manifest names."""
    return 1 + max((int(path.stem) for path in folder.iterdir() if path.stem.isdecimal()), default=0)


def _is_intact(folder: Path, manifest: str) -> bool:
    try:
        _read(folder, manifest, ())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


def _listed_files(folder: Path, manifest: str) -> set[str]:
    try:
        return set(json.loads((folder / manifest).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _remove_unreferenced(folder: Path) -> None:
    """Remove files that neither manifest names, temporary ones of a killed process included."""
    kept = _listed_files(folder, MANIFEST) | _listed_files(folder, PREVIOUS) | {MANIFEST, PREVIOUS}
    for path in folder.iterdir():
        if path.name not in kept and path.is_file():
            path.unlink(missing_ok=True)
