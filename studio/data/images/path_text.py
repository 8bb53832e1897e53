"""How the names of files are shown and written, whatever bytes they are made of."""

import os
from pathlib import Path


def display_path(path: Path | str) -> str:
    """``path`` as text that can be printed and written, also where its name is not valid Unicode."""
    return os.fspath(path).encode("utf-8", "replace").decode("utf-8")


def recipe_path(path: Path) -> str:
    r"""An image's path as a recipe names it: with slashes, and what is not valid Unicode as ``\xe9``."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")
