"""Names of image files: suffixes, and text even if a name is not valid Unicode."""

import os
from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm"}
    | {".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)


def display_path(path: Path | str) -> str:
    """Return ``path`` as printable text, with "?" for bytes that are invalid Unicode."""
    return os.fspath(path).encode("utf-8", "replace").decode("utf-8")


def recipe_path(path: Path) -> str:
    r"""Return a path as recipes write it: with slashes, invalid Unicode as ``\xe9``."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")
