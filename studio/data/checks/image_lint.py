"""Issues of single files, one per kind: unreadable, unusual, or not portable."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from PIL import Image

from studio.core.messages import N_, Message, N_n
from studio.data.images.file_index import Issue
from studio.data.images.image_metadata import ImageMetadata
from studio.data.images.path_text import display_path

_MIN_EDGE, _MAX_EDGE, _MAX_ASPECT_RATIO = 16, 8_192, 8
"""Edges in pixels, and the ratio of the edges, beyond which an image is reported."""
_MAX_NAME_BYTES, _MAX_PATH_LENGTH = 200, 240
_EQUIVALENT_FORMATS = {"MPO": "JPEG", "DIB": "BMP"}
_ERROR_MESSAGES: dict[str, Callable[[int], Message]] = {
    "empty": lambda n: N_n("{n:,} image is empty and is ignored.", "{n:,} images are empty and are ignored.", n),
    "truncated": lambda n: N_n(
        "{n:,} image is truncated and is ignored.", "{n:,} images are truncated and are ignored.", n
    ),
    "vanished": lambda n: N_n(
        "{n:,} image does not exist and is ignored.", "{n:,} images do not exist and are ignored.", n
    ),
    "bomb": lambda n: N_n(
        "{n:,} image has too many pixels to be opened safely and is ignored.",
        "{n:,} images have too many pixels to be opened safely and are ignored.",
        n,
    ),
    "extreme-shape": lambda n: N_n(
        "{n:,} image is a line rather than an image and is ignored.",
        "{n:,} images are lines rather than images and are ignored.",
        n,
    ),
    "unreadable": lambda n: N_n(
        "{n:,} image is damaged or of an unknown format and is ignored.",
        "{n:,} images are damaged or of an unknown format and are ignored.",
        n,
    ),
}


def unreadable_images(unreadable: Mapping[Path, ImageMetadata]) -> Iterator[Issue]:
    """Yield an issue for each kind of unreadable images."""
    for kind, text in _ERROR_MESSAGES.items():
        files = tuple(path for path, image in unreadable.items() if image.error_kind == kind)
        if len(files) == 1:
            path, reason = display_path(files[0]), unreadable[files[0]].reason
            yield Issue(N_("{path} cannot be read ({reason}) and is ignored.", path=path, reason=reason), files, kind)
        elif files:
            yield Issue(text(len(files)), files, kind)


def unusual_images(readable: Mapping[Path, ImageMetadata]) -> Iterator[Issue]:
    """Yield an issue for each kind of usable images that are converted or unusual."""
    for kind, (is_unusual, text) in _UNUSUAL_KINDS.items():
        files = tuple(path for path, image in readable.items() if is_unusual(path, image))
        if files:
            yield Issue(text(len(files)), files, kind)


def _is_misnamed(path: Path, metadata: ImageMetadata) -> bool:
    expected = Image.registered_extensions().get(path.suffix.lower(), "")
    return _EQUIVALENT_FORMATS.get(expected, expected) != _EQUIVALENT_FORMATS.get(metadata.format, metadata.format)


def _is_large(path: Path, metadata: ImageMetadata) -> bool:
    return max(metadata.width, metadata.height) > _MAX_EDGE


def _is_elongated(path: Path, metadata: ImageMetadata) -> bool:
    return max(metadata.width, metadata.height) > _MAX_ASPECT_RATIO * min(metadata.width, metadata.height)


_UNUSUAL_KINDS: dict[str, tuple[Callable[[Path, ImageMetadata], bool], Callable[[int], Message]]] = {
    "wrong-extension": (
        _is_misnamed,
        lambda n: N_n(
            "{n:,} image has another format than its suffix says; it is read by its content.",
            "{n:,} images have other formats than their suffixes say; they are read by their content.",
            n,
        ),
    ),
    "animated": (
        lambda path, image: image.animated,
        lambda n: N_n(
            "{n:,} image is animated or has several pages; only the first is used.",
            "{n:,} images are animated or have several pages; only the first of each is used.",
            n,
        ),
    ),
    "rotated": (
        lambda path, image: image.exif_rotated,
        lambda n: N_n(
            "{n:,} image has an EXIF rotation, which is applied.",
            "{n:,} images have an EXIF rotation, which is applied.",
            n,
        ),
    ),
    "transparent": (
        lambda path, image: image.transparent,
        lambda n: N_n(
            "{n:,} image is partly transparent; it is blended with white.",
            "{n:,} images are partly transparent; they are blended with white.",
            n,
        ),
    ),
    "palette": (
        lambda path, image: image.mode in ("P", "PA"),
        lambda n: N_n(
            "{n:,} image has a palette; it is converted to RGB.",
            "{n:,} images have a palette; they are converted to RGB.",
            n,
        ),
    ),
    "cmyk": (
        lambda path, image: image.mode == "CMYK",
        lambda n: N_n(
            "{n:,} image is in CMYK; its colors may change slightly in RGB.",
            "{n:,} images are in CMYK; their colors may change slightly in RGB.",
            n,
        ),
    ),
    "deep": (
        lambda path, image: image.mode.startswith("I") or image.mode == "F",
        lambda n: N_n(
            "{n:,} image has more than 8 bits per channel; it is scaled to 8 bits.",
            "{n:,} images have more than 8 bits per channel; they are scaled to 8 bits.",
            n,
        ),
    ),
    "tiny": (
        lambda path, image: min(image.width, image.height) < _MIN_EDGE,
        lambda n: N_n(
            "{n:,} image is smaller than {edge} pixels and will be blurred.",
            "{n:,} images are smaller than {edge} pixels and will be blurred.",
            n,
            edge=_MIN_EDGE,
        ),
    ),
    "huge": (
        _is_large,
        lambda n: N_n(
            "{n:,} image is larger than {edge} pixels and slow to read.",
            "{n:,} images are larger than {edge} pixels and slow to read.",
            n,
            edge=f"{_MAX_EDGE:,}",
        ),
    ),
    "elongated": (
        _is_elongated,
        lambda n: N_n(
            "{n:,} image is more than {ratio} times as long as wide; most of it may be cropped.",
            "{n:,} images are more than {ratio} times as long as wide; most of each may be cropped.",
            n,
            ratio=_MAX_ASPECT_RATIO,
        ),
    ),
}


def portability_issues(paths: Iterable[Path]) -> Iterator[Issue]:
    """Yield issues of names that may not work on another system."""
    listed = list(paths)
    invalid = tuple(path for path in listed if not _is_unicode(path))
    if invalid:
        text = N_n(
            "The name of {n:,} image is not valid Unicode; it may not be found after copying.",
            "The names of {n:,} images are not valid Unicode; they may not be found after copying.",
            len(invalid),
        )
        yield Issue(text, invalid, "name-not-unicode")
    long = tuple(path for path in listed if _is_long_name(path))
    if long:
        text = N_n(
            "The name of {n:,} image is very long; it may not be found after copying.",
            "The names of {n:,} images are very long; they may not be found after copying.",
            len(long),
        )
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
    """Yield an issue if linked folders lead back to a folder that they are in."""
    loops = tuple(link.relative_to(root) for link in _symlinks(root) if _leads_to_ancestor(link))
    if loops:
        text = N_n(
            "The linked folder {path} leads back to a folder that it is in; remove the link.",
            "{n:,} linked folders, such as {path}, lead back to a folder that they are in; remove the links.",
            len(loops),
            path=display_path(loops[0]),
        )
        yield Issue(text, loops, "link-loop")


def _symlinks(root: Path) -> Iterator[Path]:
    for parent, folders, _ in os.walk(root):
        yield from (Path(parent, name) for name in sorted(folders) if os.path.islink(os.path.join(parent, name)))


def _leads_to_ancestor(link: Path) -> bool:
    """Return whether the target of ``link`` holds the link itself."""
    target = link.resolve()
    return target in (link.parent.resolve() / link.name).parents
