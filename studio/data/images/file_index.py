"""What every source of images gives: a list of files with their classes, and what is wrong with the list itself."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from studio.data.images.path_text import display_path, recipe_path

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

PathGroups = Sequence[tuple[Path, ...]]
ProgressCallback = Callable[[str, int, int], object]
"""Is told what is done ("unpack" or "check"), how much of it, and of how much; it raises Stopped to end the work."""


class Cancelled(Exception):  # noqa: N818 - it is not an error
    """The user does not want the work to go on; nothing half done is left."""


def no_progress(phase: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


SPLIT_ALIASES: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""How a split may be called in folders and lists, in lower case."""


@dataclass(frozen=True, slots=True)
class Issue:
    """Something about a folder that the user should know, in one sentence, and the files that it is about.

    ``kind`` is the same word for every finding of its kind, such as "unreadable". ``groups`` are the files again where
    some belong together, such as copies.
    """

    text: str
    files: tuple[Path, ...] = ()
    kind: str = ""
    groups: tuple[tuple[Path, ...], ...] = ()

    @property
    def signature(self) -> str:
        """A hash of the files, by which a recipe remembers that they are fine."""
        named = "\n".join(sorted(recipe_path(file) for file in self.files))
        return hashlib.sha256(named.encode()).hexdigest()[:16]

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {"kind": self.kind, "text": self.text, "files": [display_path(file) for file in self.files]}


@dataclass(slots=True)
class FileIndex:
    """Files below ``root`` as (path, class, split or None where it is to be divided).

    The images of each of ``groups`` stay on one side of a division. The user decided on ``excluded`` and ``split_overrides``.
    """

    root: Path
    classes: list[str] = field(default_factory=list)
    files: list[tuple[Path, str, SplitName | None]] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    groups: list[Sequence[Path]] = field(default_factory=list)
    excluded: tuple[Path, ...] = ()
    split_overrides: Mapping[Path, SplitName] = field(default_factory=dict)

    def add_issue(self, kind: str, files: Sequence[Path], one: str, many: str = "") -> None:
        """Add a finding about ``files`` if there are any; ``one`` and ``many`` say what they are."""
        if files:
            text = f"1 file is {one}." if len(files) == 1 else f"{len(files)} files are {many or one}."
            self.issues.append(Issue(text, tuple(files), kind))
