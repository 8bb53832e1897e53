"""Where things are: resources shipped with the program, and the user's own folders."""

import os
from pathlib import Path

import platformdirs

APP = "peft-studio"
BUNDLED_PREFIX = "bundled:"
_PACKAGE = Path(__file__).resolve().parent.parent


def resource(*parts: str) -> Path:
    """Path of a shipped resource: inside the package in a wheel, at the top of the repository in a checkout."""
    shipped = _PACKAGE / "resources"
    return (shipped if shipped.is_dir() else _PACKAGE.parent / "resources").joinpath(*parts)


def resolve_path(path: str, folder: Path | None = None) -> Path:
    """Turn a path written in a recipe into a real one.

    ``bundled:NAME`` is a resource; a relative path counts from ``folder`` (the recipe's), else from the working
    directory.
    """
    if path.startswith(BUNDLED_PREFIX):
        return resource(path.removeprefix(BUNDLED_PREFIX))
    return (folder or Path.cwd()) / Path(path).expanduser()


def data_dir() -> Path:
    """The user's data folder; ``PEFT_STUDIO_HOME`` replaces it."""
    chosen = os.environ.get("PEFT_STUDIO_HOME")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir(APP, appauthor=False))


def runs_dir() -> Path:
    """The folder in which runs are kept unless another is named."""
    return data_dir() / "runs"


def log_dir() -> Path:
    """The folder for the program's own log."""
    chosen = os.environ.get("PEFT_STUDIO_HOME")
    return Path(chosen) / "logs" if chosen else Path(platformdirs.user_log_dir(APP, appauthor=False))


def cache_dir() -> Path:
    """The folder for what can be computed again."""
    chosen = os.environ.get("PEFT_STUDIO_HOME")
    return Path(chosen) / "cache" if chosen else Path(platformdirs.user_cache_dir(APP, appauthor=False))
