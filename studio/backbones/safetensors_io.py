"""Reading tensors from files that strangers made: safetensors only, never a pickle."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from studio.core.errors import StudioError

MAX_HEADER_BYTES = 32 << 20
"""Bytes. The header of a network with 100,000 tensors takes a third of it."""

_PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".npz")


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU; StudioError where it is missing, damaged or of another kind."""
    _check_header(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise StudioError(f"{path} is damaged or is not a safetensors file: {error}.") from error


def _check_header(path: Path) -> None:
    """Refuse what is not worth opening, before any memory is taken for it."""
    if path.suffix.lower() in _PICKLE_SUFFIXES:
        raise StudioError(
            f"{path} is a {path.suffix} file, which can run code when it is opened; convert it to .safetensors first."
        )
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            start = file.read(1)
    except OSError as error:
        raise StudioError(f"{path} cannot be read: {error.strerror}.") from error
    if length > MAX_HEADER_BYTES or length + 8 > size or start != b"{":
        raise StudioError(f"{path} is not a safetensors file, or it is damaged: its header does not fit.")
