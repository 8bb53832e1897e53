"""Overrides of single images: saved in the recipe, applied to a source's list."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from studio.core.messages import N_n
from studio.core.recipe import Data
from studio.data.dataset.split import merge_groups
from studio.data.images.file_index import FileIndex, Issue, SplitName
from studio.data.images.path_text import recipe_path


def apply_image_overrides(file_index: FileIndex, data: Data) -> FileIndex:
    """Return ``file_index`` with the exclusions, classes and splits of ``data``.

    Classes without images are removed. Overrides of images that do not exist become an issue.
    """
    if not (data.excluded or data.labels or data.split_overrides):
        return file_index
    names = {recipe_path(path): path for path, _, _ in file_index.files}
    excluded = {names[name] for name in data.excluded if name in names}
    labels = {names[name]: label for name, label in data.labels.items() if name in names}
    files = [(path, labels.get(path, label), split) for path, label, split in file_index.files if path not in excluded]
    return replace(
        file_index,
        files=files,
        classes=list(dict.fromkeys(label for _, label, _ in files)),
        issues=[
            *file_index.issues,
            *_missing_image_issues({*data.excluded, *data.labels, *data.split_overrides} - names.keys()),
        ],
        excluded=tuple(sorted(excluded)),
        split_overrides={names[name]: split for name, split in data.split_overrides.items() if name in names},
    )


def _missing_image_issues(names: set[str]) -> Iterable[Issue]:
    if names:
        text = N_n(
            "{n:,} image named in the recipe does not exist; it was moved or renamed.",
            "{n:,} images named in the recipe do not exist; they were moved or renamed.",
            len(names),
        )
        yield Issue(text, tuple(sorted(Path(name) for name in names)), "missing-choice")


def spread_to_group(
    split_overrides: Mapping[Path, SplitName], groups: Iterable[Sequence[Path]]
) -> dict[Path, SplitName]:
    """Return ``split_overrides`` for whole groups: the others follow the first image."""
    if not split_overrides:
        return {}
    spread = dict(split_overrides)
    for group in merge_groups(groups):
        first = next((split_overrides[path] for path in group if path in split_overrides), None)
        if first is not None:
            spread |= {path: split_overrides.get(path, first) for path in group}
    return spread
