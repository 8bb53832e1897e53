"""Read tensors from foreign files: safetensors only, never a pickle."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from studio.core.errors import StudioError

MAX_HEADER_BYTES = 32 << 20
"""Largest header in bytes; that of a network with 100,000 tensors has a third of it."""

_PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".npz")


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file on the CPU; StudioError if it is missing, damaged or another format."""
    _check_header(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise StudioError("damaged-file", "{file} is damaged: {reason}.", file=path, reason=error) from error


def _check_header(path: Path) -> None:
    """Raise StudioError for files that cannot be safetensors, before any memory is allocated."""
    if path.suffix.lower() in _PICKLE_SUFFIXES:
        raise StudioError(
            "unsafe-file",
            "Cannot open {file}: a {suffix} file can run code when opened. Convert it to .safetensors first.",
            file=path,
            suffix=path.suffix,
        )
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            start = file.read(1)
    except OSError as error:
        raise StudioError(
            "unreadable-file", "Cannot read {file}: {reason}. Choose another file.", file=path, reason=error.strerror
        ) from error
    if length > MAX_HEADER_BYTES or length + 8 > size or start != b"{":
        raise StudioError(
            "damaged-file", "{file} is damaged or not a safetensors file: its header is invalid.", file=path
        )
