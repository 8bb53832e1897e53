"""Dataset index: the images of a source with classes and splits, and its issues."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.core.recipe import Data, Split
from studio.data.dataset.overrides import apply_image_overrides, spread_to_group
from studio.data.dataset.split import stratified_group_split
from studio.data.images.file_index import SPLITS, FileIndex, Issue, PathGroups, ProgressCallback, SplitName, no_progress
from studio.data.images.image_metadata import read_all_metadata
from studio.data.images.near_duplicates import find_near_duplicates
from studio.data.images.path_text import display_path
from studio.data.sources import list_source


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image: its path in the dataset's folder, its class index and its split."""

    path: Path
    label: int
    split: SplitName


@dataclass(frozen=True)
class DatasetIndex:
    """Result of :func:`index_source`: the usable ``images`` and the ``issues``.

    ``acknowledged`` are issues that the user chose to ignore, ``excluded`` the images that the user excluded.
    ``split_by_recipe`` is true if the recipe makes the validation split, and not the source.
    """

    path: Path
    classes: tuple[str, ...]
    images: tuple[ImageFile, ...]
    issues: tuple[Issue, ...] = ()
    source: Path | None = None
    acknowledged: tuple[Issue, ...] = ()
    excluded: tuple[Path, ...] = ()
    split_by_recipe: bool = False

    @property
    def display_name(self) -> str:
        """Path that the user chose: the list or archive if there is one, else the folder."""
        return display_path(self.source or self.path)

    def in_split(self, split: SplitName) -> tuple[ImageFile, ...]:
        """Return the images of one split."""
        return tuple(image for image in self.images if image.split == split)

    @cached_property
    def class_splits(self) -> tuple[tuple[int, ...], ...]:
        """Number of images per class and split, in the order of ``SPLITS``."""
        counted = Counter((image.label, image.split) for image in self.images)
        return tuple(tuple(counted[label, split] for split in SPLITS) for label in range(len(self.classes)))

    @property
    def counts(self) -> Mapping[SplitName, int]:
        """Number of images per split."""
        return {split: sum(counts[i] for counts in self.class_splits) for i, split in enumerate(SPLITS)}

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Number of images per class, over all splits."""
        return tuple(map(sum, self.class_splits))

    @cached_property
    def by_path(self) -> Mapping[Path, ImageFile]:
        """Images by path."""
        return {image.path: image for image in self.images}

    def as_json(self) -> dict[str, Any]:
        """Return JSON values, as ``data check --json`` prints them."""
        return {
            "path": self.display_name,
            "images": len(self.images),
            "classes": dict(zip(self.classes, self.class_counts, strict=True)),
            "splits": dict(self.counts),
            "problems": [issue.as_json() for issue in self.issues],
        }


def index_source(path: Path, data: Data | None = None, progress: ProgressCallback = no_progress) -> DatasetIndex:
    """List and split a source's images; opened only to keep near duplicates together.

    The split depends on the list of files, and on their contents only if near duplicates stay together. StudioError if
    there is no such source, it has no images, or only one class.
    """
    data, file_index = data or Data(), list_source(path, progress)
    near_duplicates = _near_duplicate_groups(file_index, progress) if data.split.copies_together else ()
    return exclude_unreadable(index_from_files(file_index, data, path, near_duplicates), (), ())


def index_from_files(file_index: FileIndex, data: Data, source: Path, near_duplicates: PathGroups) -> DatasetIndex:
    """Return the index of a listed source; ``near_duplicates`` stay together."""
    if not file_index.files:
        raise _no_images_error(file_index, display_path(source))
    used = apply_image_overrides(file_index, data)
    if not used.files:
        raise StudioError(
            "all-excluded", "All images in {name} are excluded. Include some of them.", name=display_path(source)
        )
    classes = tuple(sorted(used.classes, key=_natural_sort_key))
    split_by_recipe = not any(split == "validation" for _, _, split in file_index.files)
    images = _assign_splits(used, classes, data.split if split_by_recipe else None, near_duplicates)
    return DatasetIndex(
        used.root,
        classes,
        tuple(images),
        tuple(used.issues),
        source,
        excluded=used.excluded,
        split_by_recipe=split_by_recipe,
    )


def _no_images_error(file_index: FileIndex, name: str) -> StudioError:
    if any(issue.kind == "outside-classes" for issue in file_index.issues):
        return StudioError(
            "no-class-folders",
            "The images in {name} are in no class folders, so their classes are unknown. "
            "Move the images of each class into a folder of its own, or choose a list that names the classes.",
            name=name,
        )
    return StudioError(
        "no-images",
        "There are no images in {name}. Choose a folder with a folder of images for each class.",
        name=name,
    )


def exclude_unreadable(index: DatasetIndex, unreadable: Container[Path], issues: Sequence[Issue]) -> DatasetIndex:
    """Return ``index`` without ``unreadable`` images, with issues of classes added.

    StudioError if fewer than two classes are left.
    """
    usable = tuple(image for image in index.images if image.path not in unreadable)
    _require_two_classes(index.display_name, index.classes, usable)
    all_issues = (*index.issues, *issues, *_class_issues(index.classes, usable))
    return replace(index, images=usable, issues=all_issues)


def _require_two_classes(name: str, classes: Sequence[str], images: Sequence[ImageFile]) -> None:
    present = sorted({image.label for image in images})
    if not present:
        raise StudioError(
            "no-readable-images", "None of the images in {name} can be read. Choose another folder.", name=name
        )
    if len(present) == 1:
        raise StudioError(
            "one-class",
            "All images in {name} are of one class, {label}. "
            "Add a folder with images of another class, or choose another folder.",
            name=name,
            label=classes[present[0]],
        )


def _assign_splits(
    file_index: FileIndex, classes: Sequence[str], split: Split | None, near_duplicates: PathGroups
) -> list[ImageFile]:
    """Return the images with class index and split, the source's if ``split`` is None.

    Images that the user moved are in that split, and so are the images of their group; no others move.
    """
    index = {name: label for label, name in enumerate(classes)}
    images = [ImageFile(path, index[name], given or "train") for path, name, given in file_index.files]
    images.sort(key=lambda image: (image.label, os.fsencode(image.path)))
    split_of = file_index.split_overrides
    if split:
        groups = [*_split_groups(file_index, split), *near_duplicates]
        to_split = [(image.path, image.label) for image in images if image.split == "train"]
        chosen: Mapping[Path, SplitName] = dict.fromkeys(stratified_group_split(to_split, split, groups), "validation")
        split_of = {**chosen, **spread_to_group(split_of, groups)}
    return [replace(image, split=split_of[image.path]) if image.path in split_of else image for image in images]


def _split_groups(file_index: FileIndex, split: Split) -> Sequence[Sequence[Path]]:
    """Return the groups that a recipe keeps together, apart from near duplicates."""
    if split.group == "folder":
        return _innermost_folder_groups(file_index)
    return file_index.groups if split.group == "list" else ()


def _innermost_folder_groups(file_index: FileIndex) -> list[list[Path]]:
    """Return the images of each innermost folder, for classes with several of them."""
    folders: dict[str, dict[Path, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path, label, _ in file_index.files:
        folders[label][path.parent].append(path)
    groups: list[list[Path]] = []
    for inside in folders.values():
        outer = {parent for folder in inside for parent in folder.parents}
        inner = [paths for folder, paths in inside.items() if folder not in outer]
        groups += inner if len(inner) > 1 else []
    return groups


def _near_duplicate_groups(file_index: FileIndex, progress: ProgressCallback) -> list[tuple[Path, ...]]:
    """Return the groups of similar images; only new or changed files are opened."""
    paths = [path for path, _, _ in file_index.files]
    return find_near_duplicates(
        {path: image for path, image in read_all_metadata(file_index.root, paths, progress) if not image.error_kind}
    )


def _class_issues(classes: Sequence[str], images: Sequence[ImageFile]) -> Iterator[Issue]:
    training = Counter(image.label for image in images if image.split == "train")
    everywhere = Counter(image.label for image in images)
    for label, name in enumerate(classes):
        if training[label] == 0:
            yield Issue(N_("The class {name} has no training images.", name=name), kind="no-training-images")
        elif everywhere[label] == 1:
            text = N_("The class {name} has only one image, so it cannot be validated.", name=name)
            yield Issue(text, tuple(image.path for image in images if image.label == label), "single-image")


def _natural_sort_key(name: str) -> tuple[tuple[int, str], ...]:
    """Return a sort key in which "class 2" comes before "class 10"."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)
