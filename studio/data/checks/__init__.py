"""Checks of an image source before training; no file is changed.

Scanning opens the files, takes long and does not depend on the recipe; checking a scan is fast. Usable images that were
converted, such as transparent or rotated ones, are reported too.
"""

import contextlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

from studio.core.messages import N_, Message, N_n
from studio.core.recipe import Data
from studio.data.checks.image_lint import portability_issues, symlink_loops, unreadable_images, unusual_images
from studio.data.dataset.index import DatasetIndex, ImageFile, exclude_unreadable, index_from_files
from studio.data.images.file_index import FileIndex, Issue, PathGroups, ProgressCallback, no_progress
from studio.data.images.image_metadata import ImageMetadata, read_all_metadata
from studio.data.images.near_duplicates import exact_duplicates, find_near_duplicates
from studio.data.sources import list_source

_IMBALANCE_RATIO = 10
"""Largest ratio of the class sizes without an issue."""


@dataclass(frozen=True, slots=True)
class SourceScan:
    """Scan of a source, independent of the recipe: files, metadata and duplicates."""

    source: Path
    file_index: FileIndex
    metadata: Mapping[Path, ImageMetadata]
    exact_duplicates: PathGroups
    near_duplicates: PathGroups
    loop_issues: tuple[Issue, ...]


def check(path: Path, data: Data | None = None, progress: ProgressCallback = no_progress) -> DatasetIndex:
    """Open new or changed images of a source, and return the index with all issues.

    ``progress`` is called in the caller's thread; an exception from it stops the check, and the metadata so far is
    cached. StudioError if there is nothing to train on.
    """
    return check_scan(scan_source(path, progress), data or Data())


def scan_source(path: Path, progress: ProgressCallback = no_progress) -> SourceScan:
    """List a source and open its images; all threads end also if ``progress`` raises."""
    listing = list_source(path, progress)
    with contextlib.closing(
        read_all_metadata(listing.root, [file for file, _, _ in listing.files], progress)
    ) as images:
        metadata = dict(images)
    readable = {path: image for path, image in metadata.items() if not image.error_kind}
    loops = tuple(symlink_loops(listing.root)) if path.is_dir() else ()
    return SourceScan(path, listing, metadata, exact_duplicates(readable), find_near_duplicates(readable), loops)


def check_scan(scan: SourceScan, data: Data) -> DatasetIndex:
    """Return the index of a scanned source, with issues not acknowledged in ``data``."""
    together = scan.near_duplicates if data.split.copies_together else ()
    listed = index_from_files(scan.file_index, data, scan.source, together)
    metadata = {image.path: scan.metadata[image.path] for image in listed.images}
    unreadable = {path: image for path, image in metadata.items() if image.error_kind}
    readable = {path: image for path, image in metadata.items() if not image.error_kind}
    of_files = [
        *unreadable_images(unreadable),
        *portability_issues(metadata),
        *scan.loop_issues,
        *unusual_images(readable),
    ]
    index = exclude_unreadable(listed, unreadable, of_files)
    issues = (*index.issues, *_duplicate_issues(scan, index), *_imbalance_issue(index))
    acknowledged = tuple(issue for issue in issues if data.acknowledged.get(issue.kind) == issue.signature)
    return replace(
        index, issues=tuple(issue for issue in issues if issue not in acknowledged), acknowledged=acknowledged
    )


def _duplicate_issues(scan: SourceScan, index: DatasetIndex) -> Iterator[Issue]:
    """Yield issues of duplicates, also in several classes and in several splits."""
    images = {image.path: image for image in index.images}
    exact, similar = _restrict_groups(scan.exact_duplicates, images), _restrict_groups(scan.near_duplicates, images)
    near = [group for group in similar if len({scan.metadata[path].digest for path in group}) > 1]
    two_labels = [group for group in similar if _spans_several(group, images, lambda image: image.label)]
    leaking = [group for group in similar if _spans_several(group, images, lambda image: image.split)]
    yield from _group_issue(exact, "duplicate", _duplicate_message)
    yield from _group_issue(near, "near-duplicate", _near_duplicate_message)
    yield from _group_issue(two_labels, "two-labels", _two_labels_message)
    yield from _group_issue(leaking, "leakage", _leakage_message)


def _duplicate_message(n: int) -> Message:
    return N_n(
        "{n:,} image has an exact copy.", "{n:,} images have an exact copy; each copy counts as one more image.", n
    )


def _near_duplicate_message(n: int) -> Message:
    return N_n("{n:,} image looks almost like another one.", "{n:,} images look almost like another one.", n)


def _two_labels_message(n: int) -> Message:
    return N_n(
        "{n:,} image is a duplicate in another class.",
        "{n:,} images are equal or similar, but in different classes.",
        n,
    )


def _leakage_message(n: int) -> Message:
    return N_n(
        "{n:,} image is a duplicate in another split.",
        "{n:,} images are equal or similar, but in different splits, so the accuracy will be overestimated.",
        n,
    )


def _restrict_groups(groups: PathGroups, images: Container[Path]) -> list[tuple[Path, ...]]:
    """Return the groups without unused images, if two or more are left."""
    used = (tuple(path for path in group if path in images) for group in groups)
    return [group for group in used if len(group) > 1]


def _spans_several(group: Iterable[Path], images: Mapping[Path, ImageFile], key: Callable[[ImageFile], object]) -> bool:
    return len({key(images[path]) for path in group}) > 1


def _group_issue(groups: PathGroups, kind: str, text: Callable[[int], Message]) -> Iterator[Issue]:
    files = tuple(path for group in groups for path in group)
    if files:
        yield Issue(text(len(files)), files, kind, tuple(groups))


def _imbalance_issue(index: DatasetIndex) -> Iterator[Issue]:
    sizes = [(count, name) for name, count in zip(index.classes, index.class_counts, strict=True) if count]
    (few, rare), (many, common) = min(sizes, key=itemgetter(0)), max(sizes, key=itemgetter(0))
    if many > _IMBALANCE_RATIO * few:
        text = N_(
            "{common} has {many} images and {rare} only {few}; rare classes are learned less well.",
            common=common,
            many=many,
            rare=rare,
            few=few,
        )
        yield Issue(text, kind="imbalance")
