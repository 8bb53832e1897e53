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
from studio.data.checks.image_lint import linked, names, oddities, troubles
from studio.data.dataset.index import DatasetSummary, ImageFile, summarised, without
from studio.data.images.file_index import Finding, Groups, Listing, Progress, quiet
from studio.data.images.image_metadata import Facts, facts_of
from studio.data.images.near_duplicates import copies, look_alikes
from studio.data.sources import list_source

_IMBALANCE = 10


@dataclass(frozen=True, slots=True)
class Looked:
    """What is in a source, whatever a recipe makes of it: files, their facts, and which are or look the same."""

    source: Path
    listing: Listing
    facts: Mapping[Path, Facts]
    same: Groups
    alike: Groups
    loops: tuple[Finding, ...]


def check(path: Path, data: Data | None = None, progress: Progress = quiet) -> DatasetSummary:
    """Open every image of a source that is not known from the last time, and say what is wrong.

    ``progress`` is called in the caller's thread; what it raises ends the check, and what was found by then is kept.
    Raise StudioError where nothing can be trained on.
    """
    return judge(look(path, progress), data or Data())


def look(path: Path, progress: Progress = quiet) -> Looked:
    """List a source and open what is in it; closes what it reads from also where ``progress`` raises."""
    listing = list_source(path, progress)
    source = facts_of(listing.root, [file for file, _, _ in listing.files], progress)
    try:
        facts = dict(source)
    finally:
        source.close()
    good = {name: its for name, its in facts.items() if not its.trouble}
    loops = tuple(linked(listing.root)) if path.is_dir() else ()
    return Looked(path, listing, facts, copies(good), look_alikes(good), loops)


def judge(looked: Looked, data: Data) -> DatasetSummary:
    """What a recipe makes of a source, and what is wrong then; findings that it keeps are not among the problems."""
    together = looked.alike if data.split.copies_together else ()
    listed = summarised(looked.listing, data, looked.source, together)
    facts = {image.path: looked.facts[image.path] for image in listed.images}
    bad = {name: its for name, its in facts.items() if its.trouble}
    good = {name: its for name, its in facts.items() if not its.trouble}
    found = [*troubles(bad), *names(facts), *looked.loops, *oddities(good)]
    summary = without(listed, bad, found)
    all_found = (*summary.problems, *_duplicates(looked, summary), *_imbalance(summary))
    kept = [f.kind in data.kept and data.kept[f.kind] == f.signature for f in all_found]
    problems = tuple(finding for finding, its in zip(all_found, kept, strict=True) if not its)
    return replace(summary, problems=problems, kept=tuple(compress(all_found, kept)))


def _duplicates(looked: Looked, summary: DatasetSummary) -> Iterator[Finding]:
    """Copies and look-alikes, the ones that are in two classes, and the ones on both sides of a split."""
    images = {image.path: image for image in summary.images}
    same, alike = _among(looked.same, images), _among(looked.alike, images)
    near = [group for group in alike if len({looked.facts[path].digest for path in group}) > 1]
    yield from _grouped(same, "duplicate", "{} images have an exact copy; each copy counts as one more image.")
    yield from _grouped(near, "near-duplicate", "{} images look almost the same as another one.")
    several = [group for group in alike if _differ(group, images, lambda image: image.label)]
    yield from _grouped(
        several, "two-labels", "{} images are the same or almost, but in different classes; keep each in one."
    )
    leaking = [group for group in alike if _differ(group, images, lambda image: image.split)]
    text = "{} images are the same or almost, but in different splits, so scores would be too good; "
    text += "set data.split.copies_together, or move them where the folders make the division."
    yield from _grouped(leaking, "leakage", text)


def _among(groups: Groups, images: Container[Path]) -> list[tuple[Path, ...]]:
    """The groups without the images that are not used, while two or more are left."""
    left = (tuple(path for path in group if path in images) for group in groups)
    return [group for group in left if len(group) > 1]


def _differ(group: Iterable[Path], images: Mapping[Path, ImageFile], side: Callable[[ImageFile], object]) -> bool:
    return len({side(images[path]) for path in group}) > 1


def _grouped(groups: Groups, kind: str, text: str) -> Iterator[Finding]:
    files = tuple(path for group in groups for path in group)
    if files:
        yield Finding(text.format(len(files)), files, kind, tuple(groups))


def _imbalance(summary: DatasetSummary) -> Iterator[Finding]:
    by_size: dict[int, list[str]] = defaultdict(list)
    for name, count in zip(summary.classes, summary.class_counts, strict=True):
        by_size[count].append(name)
    few, many = min(size for size in by_size if size), max(by_size)
    if many > _IMBALANCE * few:
        text = f"{by_size[many][0]} has {many} images and {by_size[few][0]} only {few}; rare classes are learnt worse."
        yield Finding(text, kind="imbalance")
