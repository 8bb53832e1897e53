"""What the user decided about single images: kept in the recipe, applied to the list of a source, no file changes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from studio.core.recipe import Data
from studio.data.dataset.split import united
from studio.data.images.file_index import Finding, Listing, SplitName
from studio.data.images.path_text import name_of


def applied(listing: Listing, data: Data) -> Listing:
    """The list as ``data`` wants it: without what it excludes, with its classes and splits.

    A class that has no images left is no class. What ``data`` decides about images that are not there is a finding.
    """
    if not (data.excluded or data.labels or data.sides):
        return listing
    names = {name_of(path): path for path, _, _ in listing.files}
    out = {names[name] for name in data.excluded if name in names}
    labels = {names[name]: label for name, label in data.labels.items() if name in names}
    files = [(path, labels.get(path, label), split) for path, label, split in listing.files if path not in out]
    return replace(
        listing,
        files=files,
        classes=list(dict.fromkeys(label for _, label, _ in files)),
        problems=[*listing.problems, *_missing({*data.excluded, *data.labels, *data.sides} - names.keys())],
        excluded=tuple(sorted(out)),
        sides={names[name]: side for name, side in data.sides.items() if name in names},
    )


def _missing(names: set[str]) -> Iterable[Finding]:
    if names:
        text = f"The recipe decides about images that are not there: {len(names)}; the files were moved or renamed."
        yield Finding(text, tuple(sorted(Path(name) for name in names)), "missing-choice")


def followed(sides: Mapping[Path, SplitName], groups: Iterable[Sequence[Path]]) -> dict[Path, SplitName]:
    """``sides`` for every image of a group in which some have one: they follow the first that was moved."""
    if not sides:
        return {}
    made = dict(sides)
    for unit in united(groups):
        first = next((sides[path] for path in unit if path in sides), None)
        if first is not None:
            made |= {path: sides.get(path, first) for path in unit}
    return made
