"""Reading one image file: whatever its mode, depth and orientation, it comes out as upright 8-bit RGB."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from studio.core.errors import StudioError
from studio.data.images.path_text import display_path

_MAX_ASPECT_RATIO = 500
"""An image longer than this many times its width is refused."""

_DRAFT_OVERSAMPLING = 2
"""A large JPEG may be decoded at a fraction of its size while this many times the wanted pixels remain each way."""


class UnreadableImageError(StudioError):
    """An image file that cannot be decoded; ``path`` says which and ``reason`` why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"The image {display_path(path)} cannot be read: {reason}.")
        self.path, self.reason = path, reason


def read_image(path: Path, target_size: tuple[int, int] | None = None) -> Image.Image:
    """Decode a file to upright RGB; raise UnreadableImageError for anything else than a whole image.

    ``target_size`` (height, width) is what the image will be scaled to: a JPEG several times larger is decoded smaller.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            return to_upright_rgb(image, target_size)
    except Exception as error:  # a damaged file makes a decoder raise anything
        raise UnreadableImageError(path, decode_error_reason(path, error)) from error


def to_upright_rgb(image: Image.Image, target_size: tuple[int, int] | None = None) -> Image.Image:
    """Decode an opened image as :func:`read_image` does; raises whatever its decoder raises."""
    if target_size is not None:
        image.draft("RGB", (target_size[1] * _DRAFT_OVERSAMPLING, target_size[0] * _DRAFT_OVERSAMPLING))
    _check_aspect_ratio(image)
    return to_rgb(ImageOps.exif_transpose(image))


def _check_aspect_ratio(image: Image.Image) -> None:
    """Scaling the short edge up to a backbone's size would make the long one fill the memory."""
    if max(image.size) > _MAX_ASPECT_RATIO * min(image.size):
        raise ValueError(f"at {image.width} x {image.height} pixels it is a line rather than an image")


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image as 8-bit RGB: deep greys are scaled by their depth, transparency is laid on white."""
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
    """The value that means white: by the depth where the mode tells it, else the smallest that holds the values."""
    if mode.startswith("I;16"):
        return 65_535
    highest = float(values.max(initial=0))
    depths = (1.0, 255.0, 65_535.0) if mode == "F" else (255.0, 65_535.0)
    return next((depth for depth in depths if highest <= depth), highest)


def decode_error_reason(path: Path, error: Exception) -> str:
    """Why a decoder gave up on a file, in a few words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    try:
        if path.stat().st_size == 0:
            return "the file is empty"
    except OSError:
        return "the file is gone"
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image of a known format"
    if isinstance(error, Image.DecompressionBombError):
        return "it has too many pixels"
    return str(error).split("\n")[0].rstrip(".")[:200] or type(error).__name__
