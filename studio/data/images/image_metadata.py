"""What there is to know about an image file, found in one reading of it and kept until the file changes."""

import hashlib
import json
import os
import stat
import warnings
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from studio.core.files import write_text
from studio.core.paths import cache_dir
from studio.data.images.decode import decode_error_reason, to_upright_rgb
from studio.data.images.file_index import ProgressCallback, no_progress

_HASH_EDGE = 8
_DECODE_SIZE = (64, 64)
_VERSION = 1
"""Goes up whenever other facts are found, so that older ones are not believed."""


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """One image file. ``error_kind`` is the kind of what makes it unusable and ``reason`` says it; both "" for a good one.

    ``digest`` is a hash of the bytes, ``fingerprint`` the 64-bit difference hash of the upright image, and
    ``thumbnail`` its 8 x 8 RGB values in hexadecimal.
    """

    digest: str = ""
    error_kind: str = ""
    reason: str = ""
    format: str = ""
    mode: str = ""
    width: int = 0
    height: int = 0
    animated: bool = False
    exif_rotated: bool = False
    transparent: bool = False
    fingerprint: int = 0
    thumbnail: str = ""


def read_metadata(path: Path, cached: Mapping[str, ImageMetadata] | None = None) -> ImageMetadata:
    """Read one file; ``cached`` are the facts of contents that need not be decoded again, by digest."""
    digest = ""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            return ImageMetadata(error_kind="unreadable", reason="it is not a file")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if cached is not None and digest in cached:
                return cached[digest]
            file.seek(0)
            with Image.open(file) as image:
                return ImageMetadata(
                    digest, **_header_metadata(image), **_content_metadata(to_upright_rgb(image, _DECODE_SIZE))
                )
    except Exception as error:  # a damaged file makes a decoder raise anything
        why = decode_error_reason(path, error)
        return ImageMetadata(digest, error_kind=_error_kind(error, why), reason=why)


def _header_metadata(image: Image.Image) -> dict[str, Any]:
    """What the header says; to be asked before the image is decoded, perhaps at a reduced size."""
    several = bool(getattr(image, "is_animated", False)) and image.format != "MPO"  # a phone's photo with its preview
    return {
        "format": image.format or "",
        "mode": image.mode,
        "width": image.width,
        "height": image.height,
        "animated": several,
        "exif_rotated": image.getexif().get(0x0112, 1) not in (0, 1),
        "transparent": image.has_transparency_data,
    }


def _content_metadata(image: Image.Image) -> dict[str, Any]:
    thumbnail = image.resize((_HASH_EDGE, _HASH_EDGE), Image.Resampling.BOX)
    return {"fingerprint": dhash(image), "thumbnail": thumbnail.tobytes().hex()}


def dhash(image: Image.Image) -> int:
    """64 bits: whether each of 8 x 8 places is brighter than its left neighbour, for a copy scaled to 9 x 8 in grey."""
    grey = np.asarray(image.convert("L").resize((_HASH_EDGE + 1, _HASH_EDGE), Image.Resampling.BOX), dtype=np.int16)
    bits = np.packbits(grey[:, 1:] > grey[:, :-1])
    return int.from_bytes(bits.tobytes(), "big")


def _error_kind(error: Exception, reason: str) -> str:
    if isinstance(error, FileNotFoundError) or reason == "the file is gone":
        return "vanished"
    if isinstance(error, Image.DecompressionBombError):
        return "bomb"
    if reason == "the file is empty":
        return "empty"
    if "line rather than an image" in reason:
        return "extreme-shape"
    return "truncated" if "truncated" in reason.lower() else "unreadable"


@dataclass(slots=True)
class MetadataCache:
    """The facts of one folder's files as they were last found, by path, size and time of change, and by content."""

    file: Path
    by_stamp: dict[str, ImageMetadata] = field(default_factory=dict)
    by_digest: dict[str, ImageMetadata] = field(default_factory=dict)

    @classmethod
    def load(cls, root: Path) -> Self:
        """Those of the folder ``root``; none where nothing, or nothing readable, is kept."""
        name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:24]
        known = cls(cache_dir() / "checks" / f"{name}.jsonl")
        try:
            version, *lines = known.file.read_text(encoding="utf-8").splitlines()
            if json.loads(version) == _VERSION:
                known.by_stamp = {stamp: ImageMetadata(**facts) for stamp, facts in map(json.loads, lines)}
        except (OSError, ValueError, TypeError, AttributeError):
            known.by_stamp = {}
        known.by_digest = {facts.digest: facts for facts in known.by_stamp.values() if facts.digest}
        return known

    def get_or_read(self, root: Path, path: Path) -> tuple[str, ImageMetadata]:
        """The file's stamp, "" where it has none, and its facts; it is opened only if it is not known."""
        try:
            now = (root / path).stat()
        except OSError as error:
            return "", ImageMetadata(error_kind=_error_kind(error, ""), reason=decode_error_reason(path, error))
        stamp = f"{path.as_posix()}/{now.st_size}/{now.st_mtime_ns}"
        return stamp, self.by_stamp.get(stamp) or read_metadata(root / path, self.by_digest)

    def save(self, metadata: Mapping[str, ImageMetadata]) -> None:
        """Remember ``metadata`` by stamp, in place of what was there; a full disk is no reason to fail.

        A line each, because to encode all at once would keep every other thread from Python's lock meanwhile.
        """
        kept = [[stamp, asdict(facts)] for stamp, facts in metadata.items() if stamp and facts.digest]
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            # Escaped, because a file name need not be valid Unicode.
            write_text(self.file, "\n".join(json.dumps(line, ensure_ascii=True) for line in (_VERSION, *kept)))
        except OSError:
            return


def read_all_metadata(
    root: Path, paths: Sequence[Path], progress: ProgressCallback = no_progress
) -> Generator[tuple[Path, ImageMetadata], None, None]:
    """The facts of each file in order, found by several threads; closing the iterator stops them.

    ``progress`` is told of each, in the caller's thread. What was found by the end is kept for the next time.
    """
    known = MetadataCache.load(root)
    found: dict[str, ImageMetadata] = {}
    threads = min(8, max(1, (os.cpu_count() or 1) - 1))  # one processor is left for whoever waits, such as a window
    pool = ThreadPoolExecutor(threads, thread_name_prefix="checks")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for path, (stamp, facts) in zip(paths, pool.map(partial(known.get_or_read, root), paths), strict=True):
                found[stamp] = facts
                progress("check", len(found), len(paths))
                yield path, facts
    finally:
        pool.shutdown(cancel_futures=True)
        known.save(known.by_stamp | found if len(found) < len(paths) else found)
