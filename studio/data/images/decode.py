"""Decoding of image files of any mode, depth and orientation to upright 8-bit RGB."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.data.images.path_text import display_path

_MAX_ASPECT_RATIO = 500
"""Largest ratio of the edges: the short one is scaled to a backbone's size, so the long one would fill the memory."""

_DRAFT_OVERSAMPLING = 2
"""A large JPEG is decoded at a fraction of its size that is at least this many times the target size."""

_REASONS = {
    "vanished": N_("the file does not exist"),
    "empty": N_("the file is empty"),
    "truncated": N_("the file is truncated"),
    "bomb": N_("it has too many pixels"),
    "extreme-shape": N_("one edge is more than {ratio} times the other", ratio=_MAX_ASPECT_RATIO),
    "unknown-format": N_("it is not an image of a known format"),
    "not-regular": N_("it is not a regular file"),
}
_REASON_BY_TEXT = {str(reason): reason for reason in _REASONS.values()}


class UnreadableImageError(StudioError):
    """An image file that cannot be decoded, with its ``path`` and the ``reason``."""

    def __init__(self, path: Path, reason: str) -> None:
        reason = restore_reason(reason)
        text = N_(
            "The image {path} cannot be read: {reason}. Replace or exclude it.", path=display_path(path), reason=reason
        )
        super().__init__("unreadable-image", text)
        self.path, self.reason = path, reason


class _ExtremeShapeError(ValueError):
    """An image much longer than wide."""


def read_image(path: Path, target_size: tuple[int, int] | None = None) -> Image.Image:
    """Decode a file to upright RGB; UnreadableImageError if it is incomplete.

    ``target_size`` (height, width) is the size after scaling: a JPEG several times larger is decoded smaller.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            return to_upright_rgb(image, target_size)
    except Exception as error:  # a damaged file makes a decoder raise anything
        raise UnreadableImageError(path, decode_error(path, error)[1]) from error


def to_upright_rgb(image: Image.Image, target_size: tuple[int, int] | None = None) -> Image.Image:
    """Decode an opened image as :func:`read_image`; raises what its decoder raises."""
    if target_size is not None:
        image.draft("RGB", (target_size[1] * _DRAFT_OVERSAMPLING, target_size[0] * _DRAFT_OVERSAMPLING))
    _check_aspect_ratio(image)
    return to_rgb(ImageOps.exif_transpose(image))


def _check_aspect_ratio(image: Image.Image) -> None:
    if max(image.size) > _MAX_ASPECT_RATIO * min(image.size):
        raise _ExtremeShapeError(f"{image.width} x {image.height} pixels")


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert to 8-bit RGB; scales deep gray and blends transparency with white."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_uint8(image)).convert("RGB")
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    return image.convert("RGB")


def _to_uint8(image: Image.Image) -> np.ndarray:
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    return np.clip(np.rint(values * (255 / _white_value(image.mode, values))), 0, 255).astype(np.uint8)


def _white_value(mode: str, values: np.ndarray) -> float:
    """Return the value of white: by the mode, else the smallest depth that is enough."""
    if mode.startswith("I;16"):
        return 65_535
    highest = float(values.max(initial=0))
    depths = (1.0, 255.0, 65_535.0) if mode == "F" else (255.0, 65_535.0)
    return next((depth for depth in depths if highest <= depth), highest)


def decode_error(path: Path, error: Exception) -> tuple[str, str]:
    """Return the kind of a decoder's error, as issues have it, and a short reason.

    The kinds are "vanished", "empty", "truncated", "bomb", "extreme-shape" and "unreadable".
    """
    kind = _error_kind(path, error)
    if kind in _REASONS:
        return kind, _REASONS[kind]
    if isinstance(error, UnidentifiedImageError):
        return kind, _REASONS["unknown-format"]
    if isinstance(error, OSError) and error.strerror:
        return kind, error.strerror.lower()
    return kind, str(error).split("\n")[0].rstrip(".")[:200] or type(error).__name__


def irregular_file_error() -> tuple[str, str]:
    """Return kind and reason, as :func:`decode_error`, for a pipe, device or folder."""
    return "unreadable", _REASONS["not-regular"]


def restore_reason(text: str) -> str:
    """Return a reason read from a file as the message that it was."""
    return _REASON_BY_TEXT.get(text, text)


def _error_kind(path: Path, error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return "bomb"
    if isinstance(error, _ExtremeShapeError):
        return "extreme-shape"
    if isinstance(error, OSError) and error.errno is not None:  # the file system's error, not the decoder's
        return "vanished" if isinstance(error, FileNotFoundError) else "unreadable"
    try:
        if path.stat().st_size == 0:
            return "empty"
    except OSError:
        return "vanished"
    return "truncated" if "truncated" in str(error).lower() else "unreadable"
