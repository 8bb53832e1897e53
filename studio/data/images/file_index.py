"""File index: the files of a source with their classes, and issues of the list."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from studio.core.messages import N_, Message
from studio.data.images.path_text import display_path, recipe_path

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
SPLIT_NAMES: dict[SplitName, Message] = {"train": N_("training"), "validation": N_("validation"), "test": N_("test")}
"""Names of the splits in texts."""

PathGroups = Sequence[tuple[Path, ...]]
ProgressCallback = Callable[[str, int, int], object]
"""Called with the phase ("unpack" or "check"), the work done and the total; raises Cancelled to stop the work."""


class Cancelled(Exception):  # noqa: N818 - it is not an error
    """The user cancelled the work; nothing partial is left."""


def no_progress(phase: str, done: int, total: int) -> None:
    """Ignore progress."""


SPLIT_ALIASES: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""Names of splits in folders and lists, in lower case."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One sentence about a source that the user should know, and the files concerned.

    ``kind`` is its code, such as "unreadable": equal for all issues of a kind, and the key of fixes and titles.
    ``groups`` are the files again if some belong together, such as copies.
    """

    text: Message
    files: tuple[Path, ...] = ()
    kind: str = ""
    groups: tuple[tuple[Path, ...], ...] = ()

    @property
    def signature(self) -> str:
        """Hash of the files, by which a recipe remembers an acknowledged issue."""
        names = "\n".join(sorted(recipe_path(file) for file in self.files))
        return hashlib.sha256(names.encode()).hexdigest()[:16]

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"kind": self.kind, "text": str(self.text), "files": [display_path(file) for file in self.files]}


@dataclass(slots=True)
class FileIndex:
    """Files below ``root`` as (path, class, split or None if the recipe decides).

    The images of each of ``groups`` stay in one split. ``excluded`` and ``split_overrides`` are the user's decisions.
    """

    root: Path
    classes: list[str] = field(default_factory=list)
    files: list[tuple[Path, str, SplitName | None]] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    groups: list[Sequence[Path]] = field(default_factory=list)
    excluded: tuple[Path, ...] = ()
    split_overrides: Mapping[Path, SplitName] = field(default_factory=dict)
