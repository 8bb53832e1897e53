"""What the user decided about single images: kept in the recipe, applied to the list of a source, no file changes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from studio.core.recipe import Data
from studio.data.dataset.split import merge_groups
from studio.data.images.file_index import FileIndex, Issue, SplitName
from studio.data.images.path_text import recipe_path


def apply_image_overrides(file_index: FileIndex, data: Data) -> FileIndex:
    """The list as ``data`` wants it: without what it excludes, with its classes and splits.

    A class that has no images left is no class. What ``data`` decides about images that are not there is a finding.
    """
    if not (data.excluded or data.labels or data.split_overrides):
        return file_index
    names = {recipe_path(path): path for path, _, _ in file_index.files}
    out = {names[name] for name in data.excluded if name in names}
    labels = {names[name]: label for name, label in data.labels.items() if name in names}
    files = [(path, labels.get(path, label), split) for path, label, split in file_index.files if path not in out]
    return replace(
        file_index,
        files=files,
        classes=list(dict.fromkeys(label for _, label, _ in files)),
        issues=[
            *file_index.issues,
            *_missing_image_issues({*data.excluded, *data.labels, *data.split_overrides} - names.keys()),
        ],
        excluded=tuple(sorted(out)),
        split_overrides={names[name]: side for name, side in data.split_overrides.items() if name in names},
    )


def _missing_image_issues(names: set[str]) -> Iterable[Issue]:
    if names:
        text = f"The recipe decides about images that are not there: {len(names)}; the files were moved or renamed."
        yield Issue(text, tuple(sorted(Path(name) for name in names)), "missing-choice")


def spread_to_group(
    split_overrides: Mapping[Path, SplitName], groups: Iterable[Sequence[Path]]
) -> dict[Path, SplitName]:
    """``split_overrides`` for every image of a group in which some have one: they follow the first that was moved."""
    if not split_overrides:
        return {}
    made = dict(split_overrides)
    for unit in merge_groups(groups):
        first = next((split_overrides[path] for path in unit if path in split_overrides), None)
        if first is not None:
            made |= {path: split_overrides.get(path, first) for path in unit}
    return made
