"""What every source of images gives: a list of files with their classes, and what is wrong with the list itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from studio.data.images import shown

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

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

    ``kind`` is the same word for every finding of its kind, such as "unreadable".
    """

    text: str
    files: tuple[Path, ...] = ()
    kind: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {"kind": self.kind, "text": self.text, "files": [shown(file) for file in self.files]}


@dataclass(slots=True)
class Listing:
    """Files below ``root`` as (path, class, split or None where it is to be divided).

    The images of each of ``groups`` stay on one side of a division.
    """

    root: Path
    classes: list[str] = field(default_factory=list)
    files: list[tuple[Path, str, SplitName | None]] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)
    groups: list[Sequence[Path]] = field(default_factory=list)

    def note(self, kind: str, files: Sequence[Path], one: str, many: str = "") -> None:
        """Add a finding about ``files`` if there are any; ``one`` and ``many`` say what they are."""
        if files:
            text = f"1 file is {one}." if len(files) == 1 else f"{len(files)} files are {many or one}."
            self.problems.append(Finding(text, tuple(files), kind))
