"""The images of a source: what is in it, how it is divided, and what is wrong."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from studio.core.errors import StudioError
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
    """One image: its path from the dataset's folder, its class as an index, and the split that it is in."""

    path: Path
    label: int
    split: SplitName


@dataclass(frozen=True)
class DatasetIndex:
    """What :func:`index_source` found. ``images`` are those that can be used, ``issues`` what is wrong with the others.

    ``acknowledged`` are findings that the user has looked at and left as they are, ``excluded`` the images that were taken out.
    ``split_by_recipe`` where the recipe makes the validation split, and not the source.
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
        """What the user called it: the list or archive where it came from one, else the folder."""
        return display_path(self.source or self.path)

    def in_split(self, split: SplitName) -> tuple[ImageFile, ...]:
        """The images of one split."""
        return tuple(image for image in self.images if image.split == split)

    @cached_property
    def class_splits(self) -> tuple[tuple[int, ...], ...]:
        """The number of images of each class in each split, in the order of ``SPLITS``."""
        counted = Counter((image.label, image.split) for image in self.images)
        return tuple(tuple(counted[label, split] for split in SPLITS) for label in range(len(self.classes)))

    @property
    def counts(self) -> Mapping[SplitName, int]:
        """The number of images in each split."""
        return {split: sum(its[place] for its in self.class_splits) for place, split in enumerate(SPLITS)}

    @property
    def class_counts(self) -> tuple[int, ...]:
        """The number of images of each class, over all splits."""
        return tuple(map(sum, self.class_splits))

    @cached_property
    def by_path(self) -> Mapping[Path, ImageFile]:
        """The images by where they are."""
        return {image.path: image for image in self.images}

    def as_json(self) -> dict[str, Any]:
        """Plain values, as ``data check --json`` prints them."""
        return {
            "path": self.display_name,
            "images": len(self.images),
            "classes": dict(zip(self.classes, self.class_counts, strict=True)),
            "splits": dict(self.counts),
            "problems": [finding.as_json() for finding in self.issues],
        }


def index_source(path: Path, data: Data | None = None, progress: ProgressCallback = no_progress) -> DatasetIndex:
    """List a source's images and divide them as ``data`` says, without opening each of them.

    The division depends on the list of files alone, or where copies are kept together on what is in them. ``path`` is
    what :mod:`studio.data.sources` knows. Raise StudioError where there is no such folder, no image in it, or one class
    only.
    """
    return exclude_unreadable(index_without_checks(path, data or Data(), progress), (), ())


def index_without_checks(path: Path, data: Data, progress: ProgressCallback = no_progress) -> DatasetIndex:
    """As :func:`index_source`; ``issues`` are only what the list itself shows."""
    listing = list_source(path, progress)
    alike = _near_duplicate_groups(listing, progress) if data.split.copies_together else ()
    return index_from_files(listing, data, path, alike)


def index_from_files(file_index: FileIndex, data: Data, source: Path, near_duplicates: PathGroups) -> DatasetIndex:
    """The list of ``source`` as ``data`` wants it, divided; ``near_duplicates`` are the images that stay together."""
    if not file_index.files:
        raise StudioError(_no_images_message(file_index, display_path(source)))
    chosen = apply_image_overrides(file_index, data)
    if not chosen.files:
        raise StudioError(f"All images in {display_path(source)} are excluded; take some of them back.")
    classes = tuple(sorted(chosen.classes, key=_natural_sort_key))
    divided = not any(given == "validation" for _, _, given in file_index.files)
    images = _assign_splits(chosen, classes, data.split if divided else None, near_duplicates)
    return DatasetIndex(
        chosen.root,
        classes,
        tuple(images),
        tuple(chosen.issues),
        source,
        excluded=chosen.excluded,
        split_by_recipe=divided,
    )


def _no_images_message(listing: FileIndex, name: str) -> str:
    if any(finding.kind == "outside-classes" for finding in listing.issues):
        return (
            f"The images in {name} are in no folders, so their classes are unknown; put those of each class into a "
            "folder of its own, or choose a list that names the classes."
        )
    return f"There are no images in {name}; choose a folder with a folder of images for each class."


def exclude_unreadable(index: DatasetIndex, unreadable: Container[Path], issues: Sequence[Issue]) -> DatasetIndex:
    """A list less its ``unreadable`` images, with what was ``issues`` in them and what is wrong with the classes then.

    Raise StudioError where fewer than two classes are left.
    """
    usable = tuple(image for image in index.images if image.path not in unreadable)
    _require_two_classes(index.display_name, index.classes, usable)
    problems = (*index.issues, *issues, *_class_issues(index.classes, usable))
    return replace(index, images=usable, issues=problems)


def _require_two_classes(name: str, classes: Sequence[str], images: Sequence[ImageFile]) -> None:
    present = sorted({image.label for image in images})
    if not present:
        raise StudioError(f"None of the images in {name} can be read; choose another folder.")
    if len(present) == 1:
        raise StudioError(
            f"All images in {name} are of one class, {classes[present[0]]}; "
            "put the images of another class into a folder beside it, or choose another folder."
        )


def _assign_splits(
    file_index: FileIndex, classes: Sequence[str], split: Split | None, near_duplicates: PathGroups
) -> list[ImageFile]:
    """Give each image its class's index and a split; without a ``split`` the one that the source gives.

    What the user moved is where it was moved to, and what stays together with it too; nothing else moves for that.
    """
    index = {name: label for label, name in enumerate(classes)}
    images = [ImageFile(path, index[name], given or "train") for path, name, given in file_index.files]
    images.sort(key=lambda image: (image.label, os.fsencode(image.path)))
    sides = file_index.split_overrides
    if split:
        groups = [*_split_groups(file_index, split), *near_duplicates]
        to_divide = [(image.path, image.label) for image in images if image.split == "train"]
        kept: Mapping[Path, SplitName] = dict.fromkeys(stratified_group_split(to_divide, split, groups), "validation")
        sides = {**kept, **spread_to_group(sides, groups)}
    return [replace(image, split=sides[image.path]) if image.path in sides else image for image in images]


def _split_groups(file_index: FileIndex, split: Split) -> Sequence[Sequence[Path]]:
    """The images that stay together whatever they look like."""
    if split.group == "folder":
        return _innermost_folder_groups(file_index)
    return file_index.groups if split.group == "list" else ()


def _innermost_folder_groups(listing: FileIndex) -> list[list[Path]]:
    """The images of each innermost folder, for the classes that have several of those."""
    folders: dict[str, dict[Path, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path, label, _ in listing.files:
        folders[label][path.parent].append(path)
    groups: list[list[Path]] = []
    for inside in folders.values():
        outer = {above for folder in inside for above in folder.parents}
        inner = [paths for folder, paths in inside.items() if folder not in outer]
        groups += inner if len(inner) > 1 else []
    return groups


def _near_duplicate_groups(file_index: FileIndex, progress: ProgressCallback) -> list[tuple[Path, ...]]:
    """The images that look alike; each file is opened once, and again only after it was changed."""
    paths = [path for path, _, _ in file_index.files]
    return find_near_duplicates(
        {path: facts for path, facts in read_all_metadata(file_index.root, paths, progress) if not facts.error_kind}
    )


def _class_issues(classes: Sequence[str], images: Sequence[ImageFile]) -> Iterator[Issue]:
    training = Counter(image.label for image in images if image.split == "train")
    everywhere = Counter(image.label for image in images)
    for label, name in enumerate(classes):
        if training[label] == 0:
            yield Issue(f"The class {name} has no training images.", kind="no-training-images")
        elif everywhere[label] == 1:
            text = f"The class {name} has one image only, so it cannot be validated."
            yield Issue(text, tuple(image.path for image in images if image.label == label), "single-image")


def _natural_sort_key(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key in which "class 2" comes before "class 10"."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)
