"""The run directory, which training writes and everything else reads."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from studio.core import events
from studio.core.errors import StudioError, write_error
from studio.core.files import write_json
from studio.core.messages import N_
from studio.core.recipe import Recipe

ADAPTER_FILE = "adapter.safetensors"
"""The best adapter, in the run's folder."""


class Run:
    """A run on disk, by its folder; nothing is read before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, recipe: Recipe, path: Path) -> Self:
        """Create a run directory with ``recipe``; StudioError if ``path`` is not empty."""
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise StudioError(
                "folder-not-empty",
                "{path} already exists and is not empty. Choose another folder, or resume the run in it.",
                path=path,
            )
        try:
            (path / "checkpoints").mkdir(parents=True)
            recipe.save(path / "recipe.toml")
        except OSError as error:
            raise write_error(N_("the run"), path, error) from error
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing run; StudioError "not-a-run" if ``path`` is none."""
        if not (path / "recipe.toml").is_file():
            raise StudioError("not-a-run", "{path} is not a run: it has no recipe.toml.", path=path)
        return cls(path)

    @property
    def recipe(self) -> Recipe:
        """The recipe that the run was started with."""
        return Recipe.load(self.path / "recipe.toml")

    @property
    def status(self) -> dict[str, Any]:
        """The last written status; empty if there is none or it cannot be read."""
        with contextlib.suppress(OSError, ValueError):
            status = json.loads((self.path / "status.json").read_text(encoding="utf-8"))
            return status if isinstance(status, dict) else {}
        return {}

    def write_status(self, **values: Any) -> None:
        """Replace the status, atomically."""
        write_json(self.path / "status.json", values)

    @property
    def labels(self) -> list[str]:
        """Class names in the order of the head's outputs."""
        return list(json.loads((self.path / "labels.json").read_text(encoding="utf-8")))

    def append_event(self, event: events.Event) -> None:
        """Append an event to ``events.jsonl``, on a new line even after a torn one."""
        with (self.path / "events.jsonl").open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 1))
            torn = file.read(1) not in (b"", b"\n")
            file.write(b"\n" * torn + event.to_json().encode() + b"\n")

    def events(self) -> list[events.Event]:
        """Return all events so far."""
        return EventTail(self).poll()


class EventTail:
    """A reader of a run's events as they are appended, complete lines only."""

    def __init__(self, run: Run) -> None:
        self._path = run.path / "events.jsonl"
        self._offset = 0

    def poll(self) -> list[events.Event]:
        """Return the events since the last call; an empty list if there are none."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                block = file.read()
        except FileNotFoundError:
            return []
        complete = block[: block.rfind(b"\n") + 1]
        self._offset += len(complete)
        return [event for line in complete.splitlines() if (event := events.parse_event(line)) is not None]


def list_runs(folder: Path) -> list[Run]:
    """Return the runs directly in ``folder``, newest first."""
    dated = []
    for recipe in folder.glob("*/recipe.toml"):
        with contextlib.suppress(FileNotFoundError):  # removed since, such as a run that failed at once
            dated.append((recipe.stat().st_mtime, recipe.parent))
    return [Run(path) for _, path in sorted(dated, reverse=True)]


def new_run_path(folder: Path, recipe: Recipe) -> Path:
    """Return a new path in ``folder``, named after the time and the recipe."""
    methods = "-".join(dict.fromkeys(a.method for a in recipe.attachments if a.enabled)) or "head"
    stem = slug(f"{datetime.now():%Y-%m-%d-%H%M%S}-{recipe.backbone.name}-{methods}")
    return next(p for p in _numbered_paths(folder / stem) if not p.exists())


def slug(text: str) -> str:
    """Return ``text`` as a file name that is safe on every system."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:100] or "unnamed"


def _numbered_paths(path: Path) -> Iterator[Path]:
    yield path
    for number in range(2, 10_000):
        yield path.with_name(f"{path.name}-{number}")
