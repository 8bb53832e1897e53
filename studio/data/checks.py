"""Everything that can be wrong with a folder of images, found before anything is trained on it.

Nothing of the user's is changed. What is usable all the same is said too: what was done with transparency, depth,
rotation and the like.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from PIL import Image

from studio.core.recipe import Split
from studio.data.alike import copies, look_alikes
from studio.data.facts import Facts, facts_of
from studio.data.folder import DatasetSummary, ImageFile, list_images, without
from studio.data.images import shown
from studio.data.listing import Finding

Progress = Callable[[int, int], object]

_SMALLEST, _LARGEST, _LONGEST = 16, 8_192, 8
"""Edges in pixels, and the ratio of the edges, beyond which an image is worth a word."""
_IMBALANCE = 10
_NAME_BYTES, _PATH_LETTERS = 200, 240
_SAME_FORMAT = {"MPO": "JPEG", "DIB": "BMP"}
_TROUBLES = {
    "empty": "empty",
    "truncated": "cut short",
    "vanished": "gone",
    "bomb": "too large to be opened safely",
    "extreme-shape": "a line rather than an image",
    "unreadable": "damaged or no image of a known format",
}


def check(path: Path, split: Split | None = None, progress: Progress = lambda done, total: None) -> DatasetSummary:
    """Open every image of a folder that is not known from the last time, and say what is wrong.

    ``progress`` is called with the images done and their total, in the caller's thread; what it raises ends the check,
    and what was found by then is kept. Raise StudioError where nothing can be trained on.
    """
    listed = list_images(path, split)
    facts = _facts(listed, progress)
    bad = {name: its for name, its in facts.items() if its.trouble}
    good = {name: its for name, its in facts.items() if not its.trouble}
    found = [*_troubles(bad), *_names(facts), *(_linked(path) if path.is_dir() else ()), *_oddities(good)]
    summary = without(listed, bad, found)
    return without(listed, bad, [*found, *_duplicates(good, summary), *_imbalance(summary)])


def _facts(listed: DatasetSummary, progress: Progress) -> dict[Path, Facts]:
    """The facts of every image; closes their source also where ``progress`` raises, so that its threads end."""
    paths = [image.path for image in listed.images]
    facts: dict[Path, Facts] = {}
    source = facts_of(listed.path, paths)
    try:
        for path, its in source:
            facts[path] = its
            progress(len(facts), len(paths))
    finally:
        source.close()
    return facts


def _troubles(bad: Mapping[Path, Facts]) -> Iterator[Finding]:
    """The unusable images by the kind of what is wrong."""
    for kind, what in _TROUBLES.items():
        files = [path for path, its in bad.items() if its.trouble == kind]
        if len(files) == 1:
            text = f"{shown(files[0])} cannot be read ({bad[files[0]].reason}) and is left out."
            yield Finding(text, tuple(files), kind)
        elif files:
            yield Finding(f"{len(files)} images are {what} and are left out.", tuple(files), kind)


def _oddities(good: Mapping[Path, Facts]) -> Iterator[Finding]:
    """What is usable but was not simply taken as it is."""
    for kind, (is_so, one, many) in _ODDITIES.items():
        files = tuple(path for path, its in good.items() if is_so(path, its))
        if files:
            yield Finding(f"1 image {one}." if len(files) == 1 else f"{len(files)} images {many}.", files, kind)


def _is_misnamed(path: Path, its: Facts) -> bool:
    said = Image.registered_extensions().get(path.suffix.lower(), "")
    return _SAME_FORMAT.get(said, said) != _SAME_FORMAT.get(its.format, its.format)


def _is_large(path: Path, its: Facts) -> bool:
    return max(its.width, its.height) > _LARGEST


def _is_long(path: Path, its: Facts) -> bool:
    return max(its.width, its.height) > _LONGEST * min(its.width, its.height)


_ODDITIES: dict[str, tuple[Callable[[Path, Facts], bool], str, str]] = {
    "wrong-extension": (
        _is_misnamed,
        "is in another format than its name says; it is read by its content",
        "are in another format than their names say; they are read by their content",
    ),
    "animated": (
        lambda path, its: its.animated,
        "is animated or has several pages; only the first is used",
        "are animated or have several pages; only the first of each is used",
    ),
    "rotated": (
        lambda path, its: its.turned,
        "is stored turned; it is set upright",
        "are stored turned; they are set upright",
    ),
    "transparent": (
        lambda path, its: its.transparent,
        "is partly transparent; it is laid on white",
        "are partly transparent; they are laid on white",
    ),
    "palette": (
        lambda path, its: its.mode in ("P", "PA"),
        "has a palette; it is converted to RGB",
        "have a palette; they are converted to RGB",
    ),
    "cmyk": (
        lambda path, its: its.mode == "CMYK",
        "is in CMYK, made for printing; its colours may shift a little in RGB",
        "are in CMYK, made for printing; their colours may shift a little in RGB",
    ),
    "deep": (
        lambda path, its: its.mode.startswith("I") or its.mode == "F",
        "has more than 8 bits a channel; it is scaled by its depth",
        "have more than 8 bits a channel; they are scaled by their depth",
    ),
    "tiny": (
        lambda path, its: min(its.width, its.height) < _SMALLEST,
        f"is smaller than {_SMALLEST} pixels and will be blurred",
        f"are smaller than {_SMALLEST} pixels and will be blurred",
    ),
    "huge": (
        _is_large,
        f"is larger than {_LARGEST:,} pixels and slow to read",
        f"are larger than {_LARGEST:,} pixels and slow to read",
    ),
    "elongated": (
        _is_long,
        f"is more than {_LONGEST} times as long as wide; most of it may be cut off",
        f"are more than {_LONGEST} times as long as wide; most of each may be cut off",
    ),
}


def _names(paths: Iterable[Path]) -> Iterator[Finding]:
    """Names that make trouble on another system."""
    names = list(paths)
    strange = tuple(path for path in names if not _is_unicode(path))
    if strange:
        text = "The names of some images are not valid Unicode; they may not be found after copying. Rename them."
        yield Finding(text, strange, "name-not-unicode")
    long = tuple(path for path in names if _is_long_name(path))
    if long:
        text = "The names of some images are very long; they may not be found after copying. Shorten them."
        yield Finding(text, long, "long-name")


def _is_unicode(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_long_name(path: Path) -> bool:
    return len(str(path)) > _PATH_LETTERS or any(len(os.fsencode(part)) > _NAME_BYTES for part in path.parts)


def _linked(root: Path) -> Iterator[Finding]:
    """Linked folders that lead back to a folder they are in."""
    loops = tuple(link.relative_to(root) for link in _links(root) if _holds(link))
    if loops:
        text = f"The linked folder {shown(loops[0])} leads back to a folder that it is in; remove the link."
        yield Finding(text, loops, "link-loop")


def _links(root: Path) -> Iterator[Path]:
    for parent, folders, _ in os.walk(root):
        yield from (Path(parent, name) for name in sorted(folders) if os.path.islink(os.path.join(parent, name)))


def _holds(link: Path) -> bool:
    """Whether what ``link`` leads to holds the link itself."""
    target = link.resolve()
    return target in (link.parent.resolve() / link.name).parents


def _duplicates(good: Mapping[Path, Facts], summary: DatasetSummary) -> Iterator[Finding]:
    """Copies and look-alikes, the ones that are in two classes, and the ones on both sides of a split."""
    images = {image.path: image for image in summary.images}
    same, alike = copies(good), look_alikes(good)
    near = [group for group in alike if len({good[path].digest for path in group}) > 1]
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


def _differ(group: Iterable[Path], images: Mapping[Path, ImageFile], side: Callable[[ImageFile], object]) -> bool:
    return len({side(images[path]) for path in group}) > 1


def _grouped(groups: Iterable[tuple[Path, ...]], kind: str, text: str) -> Iterator[Finding]:
    files = tuple(path for group in groups for path in group)
    if files:
        yield Finding(text.format(len(files)), files, kind)


def _imbalance(summary: DatasetSummary) -> Iterator[Finding]:
    by_size: dict[int, list[str]] = defaultdict(list)
    for name, count in zip(summary.classes, summary.class_counts, strict=True):
        by_size[count].append(name)
    few, many = min(size for size in by_size if size), max(by_size)
    if many > _IMBALANCE * few:
        text = f"{by_size[many][0]} has {many} images and {by_size[few][0]} only {few}; rare classes are learnt worse."
        yield Finding(text, kind="imbalance")
