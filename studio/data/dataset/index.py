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
from studio.data.dataset.overrides import applied, followed
from studio.data.dataset.split import held_out
from studio.data.images.file_index import SPLITS, Finding, Groups, Listing, Progress, SplitName, quiet
from studio.data.images.image_metadata import facts_of
from studio.data.images.near_duplicates import look_alikes
from studio.data.images.path_text import shown
from studio.data.sources import list_source


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image: its path from the dataset's folder, its class as an index, and the split that it is in."""

    path: Path
    label: int
    split: SplitName


@dataclass(frozen=True)
class DatasetSummary:
    """What :func:`scan` found. ``images`` are those that can be used, ``problems`` what is wrong with the others.

    ``kept`` are findings that the user has looked at and left as they are, ``excluded`` the images that were taken out.
    ``divided`` where the recipe makes the validation split, and not the source.
    """

    path: Path
    classes: tuple[str, ...]
    images: tuple[ImageFile, ...]
    problems: tuple[Finding, ...] = ()
    source: Path | None = None
    kept: tuple[Finding, ...] = ()
    excluded: tuple[Path, ...] = ()
    divided: bool = False

    @property
    def name(self) -> str:
        """What the user called it: the list or archive where it came from one, else the folder."""
        return shown(self.source or self.path)

    def of(self, split: SplitName) -> tuple[ImageFile, ...]:
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
            "path": self.name,
            "images": len(self.images),
            "classes": dict(zip(self.classes, self.class_counts, strict=True)),
            "splits": dict(self.counts),
            "problems": [finding.as_json() for finding in self.problems],
        }


def scan(path: Path, data: Data | None = None, progress: Progress = quiet) -> DatasetSummary:
    """List a source's images and divide them as ``data`` says, without opening each of them.

    The division depends on the list of files alone, or where copies are kept together on what is in them. ``path`` is
    what :mod:`studio.data.sources` knows. Raise StudioError where there is no such folder, no image in it, or one class
    only.
    """
    return without(list_images(path, data or Data(), progress), (), ())


def list_images(path: Path, data: Data, progress: Progress = quiet) -> DatasetSummary:
    """As :func:`scan`; ``problems`` are only what the list itself shows."""
    listing = list_source(path, progress)
    alike = _look_alikes(listing, progress) if data.split.copies_together else ()
    return summarised(listing, data, path, alike)


def summarised(listing: Listing, data: Data, source: Path, alike: Groups) -> DatasetSummary:
    """The list of ``source`` as ``data`` wants it, divided; ``alike`` are the images that stay together."""
    if not listing.files:
        raise StudioError(_no_images(listing, shown(source)))
    chosen = applied(listing, data)
    if not chosen.files:
        raise StudioError(f"All images in {shown(source)} are excluded; take some of them back.")
    classes = tuple(sorted(chosen.classes, key=_natural))
    divided = not any(given == "validation" for _, _, given in listing.files)
    images = _divide(chosen, classes, data.split if divided else None, alike)
    return DatasetSummary(
        chosen.root, classes, tuple(images), tuple(chosen.problems), source, excluded=chosen.excluded, divided=divided
    )


def _no_images(listing: Listing, name: str) -> str:
    if any(finding.kind == "outside-classes" for finding in listing.problems):
        return (
            f"The images in {name} are in no folders, so their classes are unknown; put those of each class into a "
            "folder of its own, or choose a list that names the classes."
        )
    return f"There are no images in {name}; choose a folder with a folder of images for each class."


def without(listed: DatasetSummary, bad: Container[Path], found: Sequence[Finding]) -> DatasetSummary:
    """A list less its ``bad`` images, with what was ``found`` in them and what is wrong with the classes then.

    Raise StudioError where fewer than two classes are left.
    """
    usable = tuple(image for image in listed.images if image.path not in bad)
    _require_two_classes(listed.name, listed.classes, usable)
    problems = (*listed.problems, *found, *_class_findings(listed.classes, usable))
    return replace(listed, images=usable, problems=problems)


def _require_two_classes(name: str, classes: Sequence[str], usable: Sequence[ImageFile]) -> None:
    present = sorted({image.label for image in usable})
    if not present:
        raise StudioError(f"None of the images in {name} can be read; choose another folder.")
    if len(present) == 1:
        raise StudioError(
            f"All images in {name} are of one class, {classes[present[0]]}; "
            "put the images of another class into a folder beside it, or choose another folder."
        )


def _divide(listing: Listing, classes: Sequence[str], split: Split | None, alike: Groups) -> list[ImageFile]:
    """Give each image its class's index and a split; without a ``split`` the one that the source gives.

    What the user moved is where it was moved to, and what stays together with it too; nothing else moves for that.
    """
    index = {name: label for label, name in enumerate(classes)}
    images = [ImageFile(path, index[name], given or "train") for path, name, given in listing.files]
    images.sort(key=lambda image: (image.label, os.fsencode(image.path)))
    sides = listing.sides
    if split:
        groups = [*_groups(listing, split), *alike]
        to_divide = [(image.path, image.label) for image in images if image.split == "train"]
        kept: Mapping[Path, SplitName] = dict.fromkeys(held_out(to_divide, split, groups), "validation")
        sides = {**kept, **followed(sides, groups)}
    return [replace(image, split=sides[image.path]) if image.path in sides else image for image in images]


def _groups(listing: Listing, split: Split) -> Sequence[Sequence[Path]]:
    """The images that stay together whatever they look like."""
    if split.group == "folder":
        return _folders_in_classes(listing)
    return listing.groups if split.group == "list" else ()


def _folders_in_classes(listing: Listing) -> list[list[Path]]:
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


def _look_alikes(listing: Listing, progress: Progress) -> list[tuple[Path, ...]]:
    """The images that look alike; each file is opened once, and again only after it was changed."""
    paths = [path for path, _, _ in listing.files]
    return look_alikes({path: facts for path, facts in facts_of(listing.root, paths, progress) if not facts.trouble})


def _class_findings(classes: Sequence[str], images: Sequence[ImageFile]) -> Iterator[Finding]:
    training = Counter(image.label for image in images if image.split == "train")
    everywhere = Counter(image.label for image in images)
    for label, name in enumerate(classes):
        if training[label] == 0:
            yield Finding(f"The class {name} has no training images.", kind="no-training-images")
        elif everywhere[label] == 1:
            text = f"The class {name} has one image only, so it cannot be validated."
            yield Finding(text, tuple(image.path for image in images if image.label == label), "single-image")


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key in which "class 2" comes before "class 10"."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)
