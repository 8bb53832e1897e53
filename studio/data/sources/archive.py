"""Unpacking a stranger's zip or tar archive: only files and folders, only inside, and never more than is sensible.

An archive that breaks a rule is refused whole, with the rule and the entry, and leaves nothing.
"""

import bz2
import gzip
import lzma
import os
import re
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import IO, Any, cast

from studio.core.errors import StudioError
from studio.data.images.file_index import Cancelled, ProgressCallback, no_progress
from studio.data.images.path_text import display_path
from studio.data.sources.extract_cache import cached_extract

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_CHUNK = 1 << 17
"""Bytes read at once; no header of an entry may be longer, for tarfile reads those whole."""
_DECOMPRESSORS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
"""How compressed files begin, and what reads them."""


@dataclass(frozen=True, slots=True)
class ExtractLimits:
    """The most entries and bytes that are unpacked.

    ``max_ratio`` is the most times the archive's own size; it may be more while ``ratio_exempt_bytes`` bytes are not reached.
    """

    max_entries: int = 2_000_000
    max_bytes: int = 256 << 30
    max_ratio: int = 100
    ratio_exempt_bytes: int = 64 << 20

    def max_extracted_bytes(self, archive_bytes: int) -> int:
        """The bytes that an archive of ``archive_bytes`` bytes may unpack to."""
        return min(self.max_bytes, max(self.ratio_exempt_bytes, self.max_ratio * archive_bytes))


def is_archive(path: Path) -> bool:
    """Whether the name is that of a zip or tar archive."""
    return path.name.lower().endswith(_SUFFIXES) and path.is_file()


def cached_archive_folder(path: Path, progress: ProgressCallback = no_progress) -> Path:
    """A folder in the cache with what is in an archive; StudioError where it is damaged or breaks a rule."""
    return cached_extract([path], partial(extract, path, progress=progress))


def extract(
    path: Path, folder: Path, limits: ExtractLimits | None = None, progress: ProgressCallback = no_progress
) -> None:
    """Unpack ``path`` into the empty ``folder``; ``progress`` counts bytes of the archive."""
    limits, size = limits or ExtractLimits(), path.stat().st_size
    members = _zip_members if path.name.lower().endswith(".zip") else _tar_members
    with path.open("rb") as file:
        taken = _Extraction(
            path,
            folder,
            limits.max_entries,
            limits.max_extracted_bytes(size),
            lambda: progress("unpack", file.tell(), size),
        )
        _extract_all(members(file), taken)


def _extract_all(members: Iterator["_Member"], extraction: "_Extraction") -> None:
    try:
        for member in members:
            extraction.extract(member)
    except (StudioError, Cancelled):
        raise
    except Exception as error:  # a damaged archive makes its reader raise anything
        if isinstance(error, OSError) and error.errno is not None:  # the disk, not the archive
            raise
        raise StudioError(f"The archive {display_path(extraction.archive)} is damaged; get it again.") from error


@dataclass(frozen=True, slots=True)
class _Member:
    """One entry; ``unsupported_reason`` says what it is where it is neither a file nor a folder."""

    name: str
    is_folder: bool
    open: Callable[[], IO[bytes]]
    unsupported_reason: str = ""


def _zip_members(file: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            refusal = "encrypted" if info.flag_bits & 1 else _special_file_kind(info.external_attr >> 16)
            yield _Member(info.orig_filename, info.is_dir(), partial(archive.open, info), refusal)


def _special_file_kind(mode: int) -> str:
    """What a Unix mode says an entry is, where that is neither a file nor a folder; 0 is what other systems write."""
    kind = stat.S_IFMT(mode)
    if kind in (0, stat.S_IFREG, stat.S_IFDIR):
        return ""
    return "a link" if kind == stat.S_IFLNK else "a device"


def _tar_members(file: IO[bytes]) -> Iterator[_Member]:
    start = file.read(2)
    file.seek(0)
    content = _DECOMPRESSORS.get(start, lambda plain: plain)(file)
    with tarfile.open(fileobj=cast(IO[bytes], _BoundedReader(content)), mode="r:") as archive:
        for info in archive:
            refusal = "a link" if info.issym() or info.islnk() else "a device"
            known = info.isfile() or info.isdir()
            yield _Member(info.name, info.isdir(), partial(_open_tar_member, archive, info), "" if known else refusal)


class _BoundedReader:
    """A file of which no more than a chunk is read at once: a header that says it is gigabytes long is refused."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        """As a file does; ValueError for more than a chunk."""
        if size > _CHUNK:
            raise ValueError(f"a header of {size} bytes")
        return self._file.read(size)


def _open_tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    if file is None:
        raise ValueError(info.name)
    return file


@dataclass(slots=True)
class _Extraction:
    """What has been unpacked so far, held against the limits."""

    archive: Path
    folder: Path
    max_entries: int
    max_bytes: int
    report_progress: Callable[[], object]
    entries: int = 0
    size: int = 0
    spelling_by_folded: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)

    def extract(self, member: _Member) -> None:
        self.entries += 1
        if self.entries > self.max_entries:
            self._refuse(f"it has more than {self.max_entries:,} entries")
        if member.unsupported_reason:
            self._refuse(f"its entry {display_path(member.name)} is {member.unsupported_reason}")
        parts = self._safe_parts(member.name)
        target = self.folder.joinpath(*parts)
        if member.is_folder:
            target.mkdir(parents=True, exist_ok=True)
        elif not parts:
            self._refuse("it has a file without a name")
        else:
            self._add_file("/".join(parts))
            target.parent.mkdir(parents=True, exist_ok=True)
            self._copy(member, target)

    def _safe_parts(self, name: str) -> tuple[str, ...]:
        """The name's parts, all of them inside the folder and spelled as they were before."""
        if not is_within(name):
            self._refuse(f"its entry {display_path(name)!r} would be written outside its folder")
        parts = tuple(part for part in re.split(r"[/\\]", name) if part not in ("", "."))
        for count in range(1, len(parts) + 1):
            spelling = "/".join(parts[:count])
            if self.spelling_by_folded.setdefault(_case_folded(spelling), spelling) != spelling:
                self._refuse(f"its entry {display_path(name)} differs from another one only by upper and lower case")
        return parts

    def _add_file(self, name: str) -> None:
        if name in self.files:
            self._refuse(f"its entry {display_path(name)} is there twice")
        self.files.add(name)

    def _copy(self, member: _Member, target: Path) -> None:
        with member.open() as source, target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                self.size += len(chunk)
                if self.size > self.max_bytes:
                    self._refuse(f"it unpacks to more than {self.max_bytes:,} bytes")
                file.write(chunk)
                self.report_progress()

    def _refuse(self, why: str) -> None:
        raise StudioError(
            f"The archive {display_path(self.archive)} is refused: {why}; unpack it yourself if you trust it."
        )


def is_within(name: str) -> bool:
    """Whether an entry's name stays in the folder that it is unpacked to, on any system."""
    if "\0" in name or name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        return False
    parts = re.split(r"[/\\]", name)
    on_windows = os.name == "nt" and any(":" in part or PureWindowsPath(part).is_reserved() for part in parts)
    return ".." not in parts and not on_windows


def _case_folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
