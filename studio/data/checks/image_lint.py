"""What is wrong with, or unusual about, single files: a finding for each kind."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from PIL import Image

from studio.data.images.file_index import Issue
from studio.data.images.image_metadata import ImageMetadata
from studio.data.images.path_text import display_path

_MIN_EDGE, _MAX_EDGE, _MAX_ASPECT_RATIO = 16, 8_192, 8
"""Edges in pixels, and the ratio of the edges, beyond which an image is worth a word."""
_MAX_NAME_BYTES, _MAX_PATH_LENGTH = 200, 240
_EQUIVALENT_FORMATS = {"MPO": "JPEG", "DIB": "BMP"}
_ERROR_DESCRIPTIONS = {
    "empty": "empty",
    "truncated": "cut short",
    "vanished": "gone",
    "bomb": "too large to be opened safely",
    "extreme-shape": "a line rather than an image",
    "unreadable": "damaged or no image of a known format",
}


def unreadable_images(unreadable: Mapping[Path, ImageMetadata]) -> Iterator[Issue]:
    """The unusable images by the kind of what is wrong."""
    for kind, what in _ERROR_DESCRIPTIONS.items():
        files = [path for path, its in unreadable.items() if its.error_kind == kind]
        if len(files) == 1:
            text = f"{display_path(files[0])} cannot be read ({unreadable[files[0]].reason}) and is left out."
            yield Issue(text, tuple(files), kind)
        elif files:
            yield Issue(f"{len(files)} images are {what} and are left out.", tuple(files), kind)


def unusual_images(readable: Mapping[Path, ImageMetadata]) -> Iterator[Issue]:
    """What is usable but was not simply taken as it is."""
    for kind, (is_so, one, many) in _UNUSUAL_KINDS.items():
        files = tuple(path for path, its in readable.items() if is_so(path, its))
        if files:
            yield Issue(f"1 image {one}." if len(files) == 1 else f"{len(files)} images {many}.", files, kind)


def _is_misnamed(path: Path, metadata: ImageMetadata) -> bool:
    said = Image.registered_extensions().get(path.suffix.lower(), "")
    return _EQUIVALENT_FORMATS.get(said, said) != _EQUIVALENT_FORMATS.get(metadata.format, metadata.format)


def _is_large(path: Path, metadata: ImageMetadata) -> bool:
    return max(metadata.width, metadata.height) > _MAX_EDGE


def _is_elongated(path: Path, metadata: ImageMetadata) -> bool:
    return max(metadata.width, metadata.height) > _MAX_ASPECT_RATIO * min(metadata.width, metadata.height)


_UNUSUAL_KINDS: dict[str, tuple[Callable[[Path, ImageMetadata], bool], str, str]] = {
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
        lambda path, its: its.exif_rotated,
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
        lambda path, its: min(its.width, its.height) < _MIN_EDGE,
        f"is smaller than {_MIN_EDGE} pixels and will be blurred",
        f"are smaller than {_MIN_EDGE} pixels and will be blurred",
    ),
    "huge": (
        _is_large,
        f"is larger than {_MAX_EDGE:,} pixels and slow to read",
        f"are larger than {_MAX_EDGE:,} pixels and slow to read",
    ),
    "elongated": (
        _is_elongated,
        f"is more than {_MAX_ASPECT_RATIO} times as long as wide; most of it may be cut off",
        f"are more than {_MAX_ASPECT_RATIO} times as long as wide; most of each may be cut off",
    ),
}


def portability_issues(paths: Iterable[Path]) -> Iterator[Issue]:
    """Names that make trouble on another system."""
    listed = list(paths)
    strange = tuple(path for path in listed if not _is_unicode(path))
    if strange:
        text = "The names of some images are not valid Unicode; they may not be found after copying. Rename them."
        yield Issue(text, strange, "name-not-unicode")
    long = tuple(path for path in listed if _is_long_name(path))
    if long:
        text = "The names of some images are very long; they may not be found after copying. Shorten them."
        yield Issue(text, long, "long-name")


def _is_unicode(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_long_name(path: Path) -> bool:
    return len(str(path)) > _MAX_PATH_LENGTH or any(len(os.fsencode(part)) > _MAX_NAME_BYTES for part in path.parts)


def symlink_loops(root: Path) -> Iterator[Issue]:
    """Linked folders that lead back to a folder they are in."""
    loops = tuple(link.relative_to(root) for link in _symlinks(root) if _leads_to_ancestor(link))
    if loops:
        text = f"The linked folder {display_path(loops[0])} leads back to a folder that it is in; remove the link."
        yield Issue(text, loops, "link-loop")


def _symlinks(root: Path) -> Iterator[Path]:
    for parent, folders, _ in os.walk(root):
        yield from (Path(parent, name) for name in sorted(folders) if os.path.islink(os.path.join(parent, name)))


def _leads_to_ancestor(link: Path) -> bool:
    """Whether what ``link`` leads to holds the link itself."""
    target = link.resolve()
    return target in (link.parent.resolve() / link.name).parents
