"""Paths of the shipped resources and of the user's own folders."""

import os
from pathlib import Path

import platformdirs

APP = "peft-studio"
BUNDLED_PREFIX = "bundled:"
_PACKAGE = Path(__file__).resolve().parent.parent


def resource(*parts: str) -> Path:
    """Return the path of a shipped resource.

    It is inside the package in a wheel, and at the top of the repository in a checkout.
    """
    shipped = _PACKAGE / "resources"
    return (shipped if shipped.is_dir() else _PACKAGE.parent / "resources").joinpath(*parts)


def resolve_path(path: str, folder: Path | None = None) -> Path:
    """Return the real path of one that is written in a recipe.

    ``bundled:NAME`` is a resource; a relative path counts from ``folder`` (the recipe's), else from the working
    directory.
    """
    if path.startswith(BUNDLED_PREFIX):
        return resource(path.removeprefix(BUNDLED_PREFIX))
    return (folder or Path.cwd()) / Path(path).expanduser()


def data_dir() -> Path:
    """Return the user's data folder; ``PEFT_STUDIO_HOME`` replaces it."""
    chosen = os.environ.get("PEFT_STUDIO_HOME")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir(APP, appauthor=False))


def runs_dir() -> Path:
    """Return the default folder of the runs."""
    return data_dir() / "runs"


def log_dir() -> Path:
    """Return the folder of the program's own log."""
    chosen = os.environ.get("PEFT_STUDIO_HOME")
    return Path(chosen) / "logs" if chosen else Path(platformdirs.user_log_dir(APP, appauthor=False))


def cache_dir() -> Path:
    """Return the folder of results that can be computed again."""
    chosen = os.environ.get("PEFT_STUDIO_HOME")
    return Path(chosen) / "cache" if chosen else Path(platformdirs.user_cache_dir(APP, appauthor=False))
