"""Safe extraction of untrusted zip and tar archives.

Only files and folders are extracted, only inside the target, and within limits of size and number. An archive that
breaks a rule is refused as a whole, with the rule and the entry, and leaves nothing.
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
from studio.core.messages import N_, Message
from studio.data.images.file_index import Cancelled, ProgressCallback, no_progress
from studio.data.images.path_text import display_path
from studio.data.sources.contract import Source, register
from studio.data.sources.extract_cache import cached_extract

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_CHUNK = 1 << 17
"""Bytes read at once, and the limit of a header, which tarfile reads whole."""
_DECOMPRESSORS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
"""Decompressor by the first two bytes of a file."""


@dataclass(frozen=True, slots=True)
class ExtractLimits:
    """Limits of an archive's content.

    ``max_ratio`` limits the size after extraction as a multiple of the archive's own size; it does not apply up to
    ``ratio_exempt_bytes`` bytes.
    """

    max_entries: int = 2_000_000
    max_bytes: int = 256 << 30
    max_ratio: int = 100
    ratio_exempt_bytes: int = 64 << 20

    def max_extracted_bytes(self, archive_bytes: int) -> int:
        """Return the bytes that an archive of ``archive_bytes`` bytes may extract to."""
        return min(self.max_bytes, max(self.ratio_exempt_bytes, self.max_ratio * archive_bytes))


@register
class Archive(Source):
    """A zip or tar archive of another source."""

    name = "archive"
    label = N_("Zip or tar archive")
    extensions = _SUFFIXES

    def accepts(self, path: Path) -> bool:
        """Return whether the name is that of a zip or tar archive."""
        return self.has_extension(path)

    def unpack(self, path: Path, progress: ProgressCallback) -> Path:
        """Return a folder in the cache with the archive's content."""
        return cached_archive_folder(path, progress)


def cached_archive_folder(path: Path, progress: ProgressCallback = no_progress) -> Path:
    """Return a cached folder with the content; StudioError if damaged or refused."""
    return cached_extract([path], partial(extract, path, progress=progress))


def extract(
    path: Path, folder: Path, limits: ExtractLimits | None = None, progress: ProgressCallback = no_progress
) -> None:
    """Extract ``path`` into an empty folder; ``progress`` counts bytes of the archive."""
    limits, size = limits or ExtractLimits(), path.stat().st_size
    members = _zip_members if path.name.lower().endswith(".zip") else _tar_members
    with path.open("rb") as file:
        extraction = _Extraction(
            path,
            folder,
            limits.max_entries,
            limits.max_extracted_bytes(size),
            lambda: progress("unpack", file.tell(), size),
        )
        _extract_all(members(file), extraction)


def _extract_all(members: Iterator["_Member"], extraction: "_Extraction") -> None:
    try:
        for member in members:
            extraction.extract(member)
    except (StudioError, Cancelled):
        raise
    except Exception as error:  # a damaged archive makes its reader raise anything
        if isinstance(error, OSError) and error.errno is not None:  # the disk, not the archive
            raise
        raise StudioError(
            "damaged-source", "The archive {path} is damaged. Download it again.", path=display_path(extraction.archive)
        ) from error


@dataclass(frozen=True, slots=True)
class _Member:
    """One entry; ``refusal`` is why it must not be extracted, or None."""

    name: str
    is_folder: bool
    open: Callable[[], IO[bytes]]
    refusal: Message | None = None


def _zip_members(file: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
            refusal = None
            if info.flag_bits & 1:
                refusal = N_("its entry {entry} is encrypted", entry=display_path(name))
            elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):  # 0 is written by systems other than Unix
                refusal = _special_file_refusal(name, kind == stat.S_IFLNK)
            yield _Member(name, info.is_dir(), partial(archive.open, info), refusal)


def _special_file_refusal(name: str, is_link: bool) -> Message:
    entry = display_path(name)
    return (
        N_("its entry {entry} is a link", entry=entry) if is_link else N_("its entry {entry} is a device", entry=entry)
    )


def _tar_members(file: IO[bytes]) -> Iterator[_Member]:
    start = file.read(2)
    file.seek(0)
    content = _DECOMPRESSORS.get(start, lambda plain: plain)(file)
    with tarfile.open(fileobj=cast(IO[bytes], _BoundedReader(content)), mode="r:") as archive:
        for info in archive:
            is_known = info.isfile() or info.isdir()
            refusal = None if is_known else _special_file_refusal(info.name, info.issym() or info.islnk())
            yield _Member(info.name, info.isdir(), partial(_open_tar_member, archive, info), refusal)


class _BoundedReader:
    """A file that refuses to read a header with a forged length of gigabytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        """Read as a file does; ValueError for more than a chunk."""
        if size > _CHUNK:
            raise ValueError(f"header of {size} bytes")
        return self._file.read(size)


def _open_tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    if file is None:
        raise ValueError(info.name)
    return file


@dataclass(slots=True)
class _Extraction:
    """An extraction in progress: its limits, and the names and bytes so far."""

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
            self._refuse(N_("it has more than {limit} entries", limit=f"{self.max_entries:,}"))
        if member.refusal is not None:
            self._refuse(member.refusal)
        parts = self._safe_parts(member.name)
        target = self.folder.joinpath(*parts)
        if member.is_folder:
            target.mkdir(parents=True, exist_ok=True)
        elif not parts:
            self._refuse(N_("it has a file without a name"))
        else:
            self._add_file("/".join(parts))
            target.parent.mkdir(parents=True, exist_ok=True)
            self._copy(member, target)

    def _safe_parts(self, name: str) -> tuple[str, ...]:
        """Return the parts of a name; refuse it if outside or spelled in two ways."""
        if not is_safe_name(name):
            self._refuse(N_("its entry {entry} would be written outside its folder", entry=display_path(name)))
        parts = tuple(part for part in re.split(r"[/\\]", name) if part not in ("", "."))
        for count in range(1, len(parts) + 1):
            spelling = "/".join(parts[:count])
            if self.spelling_by_folded.setdefault(_case_folded(spelling), spelling) != spelling:
                self._refuse(N_("its entry {entry} differs from another one only in case", entry=display_path(name)))
        return parts

    def _add_file(self, name: str) -> None:
        if name in self.files:
            self._refuse(N_("its entry {entry} appears twice", entry=display_path(name)))
        self.files.add(name)

    def _copy(self, member: _Member, target: Path) -> None:
        with member.open() as source, target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                self.size += len(chunk)
                if self.size > self.max_bytes:
                    self._refuse(N_("it extracts to more than {limit} bytes", limit=f"{self.max_bytes:,}"))
                file.write(chunk)
                self.report_progress()

    def _refuse(self, reason: Message) -> None:
        raise StudioError(
            "unsafe-archive",
            "The archive {path} is refused: {reason}. Extract it yourself if you trust it.",
            path=display_path(self.archive),
            reason=reason,
        )


def is_safe_name(name: str) -> bool:
    """Return whether an entry's name stays in its target folder, on any system."""
    if "\0" in name or name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        return False
    parts = re.split(r"[/\\]", name)
    on_windows = os.name == "nt" and any(":" in part or PureWindowsPath(part).is_reserved() for part in parts)
    return ".." not in parts and not on_windows


def _case_folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
