"""The images of a source: what is in it, how it is divided, and what is wrong."""

import os
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studio.core.errors import StudioError
from studio.core.recipe import Split
from studio.data.alike import look_alikes
from studio.data.facts import facts_of
from studio.data.images import UnreadableImageError, read, shown
from studio.data.listing import SPLITS, Finding, Listing, SplitName
from studio.data.sources import list_source
from studio.data.split import held_out


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image: its path from the dataset's folder, its class as an index, and the split that it is in."""

    path: Path
    label: int
    split: SplitName


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What :func:`scan` found. ``images`` are those that can be used, ``problems`` what is wrong with the others."""

    path: Path
    classes: tuple[str, ...]
    images: tuple[ImageFile, ...]
    problems: tuple[Finding, ...] = ()
    source: Path | None = None

    @property
    def name(self) -> str:
        """What the user called it: the list or archive where it came from one, else the folder."""
        return shown(self.source or self.path)

    def of(self, split: SplitName) -> tuple[ImageFile, ...]:
        """The images of one split."""
        return tuple(image for image in self.images if image.split == split)

    @property
    def counts(self) -> Mapping[SplitName, int]:
        """The number of images in each split."""
        counted = Counter(image.split for image in self.images)
        return {split: counted[split] for split in SPLITS}

    @property
    def class_counts(self) -> tuple[int, ...]:
        """The number of images of each class, over all splits."""
        counted = Counter(image.label for image in self.images)
        return tuple(counted[label] for label in range(len(self.classes)))

    def as_json(self) -> dict[str, Any]:
        """Plain values, as ``data check --json`` prints them."""
        return {
            "path": self.name,
            "images": len(self.images),
            "classes": dict(zip(self.classes, self.class_counts, strict=True)),
            "splits": dict(self.counts),
            "problems": [finding.as_json() for finding in self.problems],
        }


def scan(path: Path, split: Split | None = None, *, decode: bool = True) -> DatasetSummary:
    """List a folder's images, divide them, and with ``decode`` open each of them to find the unreadable ones.

    The division depends on the list of files alone, or where copies are kept together on what is in them, so that it is
    the same with and without ``decode``. ``path`` is what :mod:`studio.data.sources` knows.
    Raise StudioError where there is no such folder, no image in it, or one class only.
    """
    listed = list_images(path, split)
    bad = _unreadable(listed.path, listed.images) if decode else {}
    return without(listed, bad, [unreadable_finding(bad)] if bad else [])


def list_images(path: Path, split: Split | None = None) -> DatasetSummary:
    """List a folder's images and divide them; ``problems`` are only what the list itself shows."""
    listing = list_source(path)
    if not listing.files:
        raise StudioError(
            f"There are no images in {shown(path)}; choose a folder with a folder of images for each class."
        )
    classes = tuple(sorted(listing.classes, key=_natural))
    images = _divide(listing, classes, split or Split())
    return DatasetSummary(listing.root, classes, tuple(images), tuple(listing.problems), path)


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
            "at least two folders with images are needed."
        )


def _divide(listing: Listing, classes: Sequence[str], split: Split) -> list[ImageFile]:
    """Give each image its class's index and a split; only a folder without validation images of its own is divided."""
    index = {name: label for label, name in enumerate(classes)}
    images = [ImageFile(path, index[name], given or "train") for path, name, given in listing.files]
    images.sort(key=lambda image: (image.label, os.fsencode(image.path)))
    if any(image.split == "validation" for image in images):
        return images
    to_divide = [image for image in images if image.split == "train"]
    alike = _look_alikes(listing) if split.copies_together else []
    kept = held_out([(image.path, image.label) for image in to_divide], split, [*listing.groups, *alike])
    return [replace(image, split="validation") if image.path in kept else image for image in images]


def _look_alikes(listing: Listing) -> list[tuple[Path, ...]]:
    """The images that look alike; each file is opened once, and again only after it was changed."""
    paths = [path for path, _, _ in listing.files]
    return look_alikes({path: facts for path, facts in facts_of(listing.root, paths) if not facts.trouble})


def _unreadable(root: Path, images: Sequence[ImageFile]) -> dict[Path, str]:
    """The images that cannot be decoded, with the reason of each."""

    def reason(image: ImageFile) -> str:
        try:
            read(root / image.path, wanted=(64, 64))
        except UnreadableImageError as error:
            return error.reason
        return ""

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        reasons = pool.map(reason, images)
    return {image.path: why for image, why in zip(images, reasons, strict=True) if why}


def _class_findings(classes: Sequence[str], images: Sequence[ImageFile]) -> Iterator[Finding]:
    training = Counter(image.label for image in images if image.split == "train")
    everywhere = Counter(image.label for image in images)
    for label, name in enumerate(classes):
        if training[label] == 0:
            yield Finding(f"The class {name} has no training images.", kind="no-training-images")
        elif everywhere[label] == 1:
            text = f"The class {name} has one image only, so it cannot be validated."
            yield Finding(text, tuple(image.path for image in images if image.label == label), "single-image")


def unreadable_finding(bad: Mapping[Path, str]) -> Finding:
    """The finding for images that cannot be read, by path with the reason of each."""
    first, why = next(iter(bad.items()))
    text = f"{shown(first)} cannot be read ({why}) and is left out."
    if len(bad) > 1:
        text = f"{len(bad)} images cannot be read and are left out, the first is {shown(first)} ({why})."
    return Finding(text, tuple(bad), "unreadable")


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key in which "class 2" comes before "class 10"."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)
