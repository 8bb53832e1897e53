"""What every source of images gives: a list of files with their classes, and what is wrong with the list itself."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from studio.data.images.path_text import name_of, shown

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

Groups = Sequence[tuple[Path, ...]]
Progress = Callable[[str, int, int], object]
"""Is told what is done ("unpack" or "check"), how much of it, and of how much; it raises Stopped to end the work."""


class Stopped(Exception):  # noqa: N818 - it is not an error
    """The user does not want the work to go on; nothing half done is left."""


def quiet(doing: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


READY_MADE: dict[str, SplitName] = {
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
class Finding:
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
        named = "\n".join(sorted(name_of(file) for file in self.files))
        return hashlib.sha256(named.encode()).hexdigest()[:16]

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {"kind": self.kind, "text": self.text, "files": [shown(file) for file in self.files]}


@dataclass(slots=True)
class Listing:
    """Files below ``root`` as (path, class, split or None where it is to be divided).

    The images of each of ``groups`` stay on one side of a division. The user decided on ``excluded`` and ``sides``.
    """

    root: Path
    classes: list[str] = field(default_factory=list)
    files: list[tuple[Path, str, SplitName | None]] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)
    groups: list[Sequence[Path]] = field(default_factory=list)
    excluded: tuple[Path, ...] = ()
    sides: Mapping[Path, SplitName] = field(default_factory=dict)

    def note(self, kind: str, files: Sequence[Path], one: str, many: str = "") -> None:
        """Add a finding about ``files`` if there are any; ``one`` and ``many`` say what they are."""
        if files:
            text = f"1 file is {one}." if len(files) == 1 else f"{len(files)} files are {many or one}."
            self.problems.append(Finding(text, tuple(files), kind))
