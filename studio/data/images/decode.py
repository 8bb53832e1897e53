"""Reading one image file: whatever its mode, depth and orientation, it comes out as upright 8-bit RGB."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from studio.core.errors import StudioError
from studio.data.images.path_text import shown

SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm"}
    | {".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)
_LONGEST = 500
"""An image longer than this many times its width is refused."""

_DRAFT_RESERVE = 2
"""A large JPEG may be decoded at a fraction of its size while this many times the wanted pixels remain each way."""


class UnreadableImageError(StudioError):
    """An image file that cannot be decoded; ``path`` says which and ``reason`` why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"The image {shown(path)} cannot be read: {reason}.")
        self.path, self.reason = path, reason


def read(path: Path, wanted: tuple[int, int] | None = None) -> Image.Image:
    """Decode a file to upright RGB; raise UnreadableImageError for anything else than a whole image.

    ``wanted`` (height, width) is what the image will be scaled to: a JPEG several times larger is decoded smaller.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            return upright(image, wanted)
    except Exception as error:  # a damaged file makes a decoder raise anything
        raise UnreadableImageError(path, reason(path, error)) from error


def upright(image: Image.Image, wanted: tuple[int, int] | None = None) -> Image.Image:
    """Decode an opened image as :func:`read` does; raises whatever its decoder raises."""
    if wanted is not None:
        image.draft("RGB", (wanted[1] * _DRAFT_RESERVE, wanted[0] * _DRAFT_RESERVE))
    _refuse_extreme(image)
    return to_rgb(ImageOps.exif_transpose(image))


def _refuse_extreme(image: Image.Image) -> None:
    """Scaling the short edge up to a backbone's size would make the long one fill the memory."""
    if max(image.size) > _LONGEST * min(image.size):
        raise ValueError(f"at {image.width} x {image.height} pixels it is a line rather than an image")


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image as 8-bit RGB: deep greys are scaled by their depth, transparency is laid on white."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> np.ndarray:
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    return np.clip(np.rint(values * (255 / _full_scale(image.mode, values))), 0, 255).astype(np.uint8)


def _full_scale(mode: str, values: np.ndarray) -> float:
    """The value that means white: by the depth where the mode tells it, else the smallest that holds the values."""
    if mode.startswith("I;16"):
        return 65_535
    highest = float(values.max(initial=0))
    depths = (1.0, 255.0, 65_535.0) if mode == "F" else (255.0, 65_535.0)
    return next((depth for depth in depths if highest <= depth), highest)


def reason(path: Path, error: Exception) -> str:
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
