"""Everything that can be wrong with a source of images, found before anything is trained on it.

Nothing of the user's is changed. What is usable all the same is said too: what was done with transparency, depth,
rotation and the like. Looking at the files takes long and does not depend on the recipe; judging them is quick.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

from studio.core.recipe import Data
from studio.data.checks.image_lint import portability_issues, symlink_loops, unreadable_images, unusual_images
from studio.data.dataset.index import DatasetIndex, ImageFile, exclude_unreadable, index_from_files
from studio.data.images.file_index import FileIndex, Issue, PathGroups, ProgressCallback, no_progress
from studio.data.images.image_metadata import ImageMetadata, read_all_metadata
from studio.data.images.near_duplicates import exact_duplicates, find_near_duplicates
from studio.data.sources import list_source

_IMBALANCE_RATIO = 10


@dataclass(frozen=True, slots=True)
class SourceScan:
    """What is in a source, whatever a recipe makes of it: files, their facts, and which are or look the same."""

    source: Path
    file_index: FileIndex
    metadata: Mapping[Path, ImageMetadata]
    exact_duplicates: PathGroups
    near_duplicates: PathGroups
    loop_issues: tuple[Issue, ...]


def check(path: Path, data: Data | None = None, progress: ProgressCallback = no_progress) -> DatasetIndex:
    """Open every image of a source that is not known from the last time, and say what is wrong.

    ``progress`` is called in the caller's thread; what it raises ends the check, and what was found by then is kept.
    Raise StudioError where nothing can be trained on.
    """
    return check_scan(scan_source(path, progress), data or Data())


def scan_source(path: Path, progress: ProgressCallback = no_progress) -> SourceScan:
    """List a source and open what is in it; closes what it reads from also where ``progress`` raises."""
    listing = list_source(path, progress)
    source = read_all_metadata(listing.root, [file for file, _, _ in listing.files], progress)
    try:
        facts = dict(source)
    finally:
        source.close()
    good = {name: its for name, its in facts.items() if not its.error_kind}
    loops = tuple(symlink_loops(listing.root)) if path.is_dir() else ()
    return SourceScan(path, listing, facts, exact_duplicates(good), find_near_duplicates(good), loops)


def check_scan(scan: SourceScan, data: Data) -> DatasetIndex:
    """What a recipe makes of a source, and what is wrong then; findings that it keeps are not among the problems."""
    together = scan.near_duplicates if data.split.copies_together else ()
    listed = index_from_files(scan.file_index, data, scan.source, together)
    facts = {image.path: scan.metadata[image.path] for image in listed.images}
    bad = {name: its for name, its in facts.items() if its.error_kind}
    good = {name: its for name, its in facts.items() if not its.error_kind}
    found = [*unreadable_images(bad), *portability_issues(facts), *scan.loop_issues, *unusual_images(good)]
    summary = exclude_unreadable(listed, bad, found)
    all_found = (*summary.issues, *_duplicate_issues(scan, summary), *_imbalance_issue(summary))
    kept = [f.kind in data.acknowledged and data.acknowledged[f.kind] == f.signature for f in all_found]
    problems = tuple(finding for finding, its in zip(all_found, kept, strict=True) if not its)
    return replace(summary, issues=problems, acknowledged=tuple(compress(all_found, kept)))


def _duplicate_issues(scan: SourceScan, summary: DatasetIndex) -> Iterator[Issue]:
    """Copies and look-alikes, the ones that are in two classes, and the ones on both sides of a split."""
    images = {image.path: image for image in summary.images}
    same, alike = _restrict_groups(scan.exact_duplicates, images), _restrict_groups(scan.near_duplicates, images)
    near = [group for group in alike if len({scan.metadata[path].digest for path in group}) > 1]
    yield from _group_issue(same, "duplicate", "{} images have an exact copy; each copy counts as one more image.")
    yield from _group_issue(near, "near-duplicate", "{} images look almost the same as another one.")
    several = [group for group in alike if _spans_several(group, images, lambda image: image.label)]
    yield from _group_issue(
        several, "two-labels", "{} images are the same or almost, but in different classes; keep each in one."
    )
    leaking = [group for group in alike if _spans_several(group, images, lambda image: image.split)]
    text = "{} images are the same or almost, but in different splits, so scores would be too good; "
    text += "set data.split.copies_together, or move them where the folders make the division."
    yield from _group_issue(leaking, "leakage", text)


def _restrict_groups(groups: PathGroups, images: Container[Path]) -> list[tuple[Path, ...]]:
    """The groups without the images that are not used, while two or more are left."""
    left = (tuple(path for path in group if path in images) for group in groups)
    return [group for group in left if len(group) > 1]


def _spans_several(group: Iterable[Path], images: Mapping[Path, ImageFile], key: Callable[[ImageFile], object]) -> bool:
    return len({key(images[path]) for path in group}) > 1


def _group_issue(groups: PathGroups, kind: str, text: str) -> Iterator[Issue]:
    files = tuple(path for group in groups for path in group)
    if files:
        yield Issue(text.format(len(files)), files, kind, tuple(groups))


def _imbalance_issue(summary: DatasetIndex) -> Iterator[Issue]:
    by_size: dict[int, list[str]] = defaultdict(list)
    for name, count in zip(summary.classes, summary.class_counts, strict=True):
        by_size[count].append(name)
    few, many = min(size for size in by_size if size), max(by_size)
    if many > _IMBALANCE_RATIO * few:
        text = f"{by_size[many][0]} has {many} images and {by_size[few][0]} only {few}; rare classes are learnt worse."
        yield Issue(text, kind="imbalance")
