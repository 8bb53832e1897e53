"""CSV or Parquet list of images: columns path, label, optionally split and group."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from studio.core.errors import StudioError
from studio.core.messages import N_, N_n
from studio.data.images.file_index import SPLIT_ALIASES, FileIndex, Issue, SplitName
from studio.data.images.path_text import display_path
from studio.data.sources.contract import Source, register

_SEPARATORS = ",;\t"
_CSV_SUFFIXES, _PARQUET_SUFFIXES = (".csv", ".tsv"), (".parquet", ".pq")
_COLUMNS = ("path", "label", "split", "group")


@register
class Manifest(Source):
    """A CSV or Parquet list of images; paths are relative to its folder."""

    name = "manifest"
    label = N_("CSV or Parquet list")
    extensions = (*_CSV_SUFFIXES, *_PARQUET_SUFFIXES)

    def accepts(self, path: Path) -> bool:
        """Return whether the suffix is that of a list."""
        return self.has_extension(path)

    def list(self, path: Path) -> FileIndex:
        """Return the listed images; those of one group stay in one split.

        StudioError if the file is no such list or names an unknown split.
        """
        listing, groups, seen = FileIndex(path.parent), defaultdict(list), dict[Path, _Row]()
        for row in _rows(path, listing):
            if _is_new(path, row, seen):
                listing.files.append((row.path, row.label, row.split))
                groups[row.group].append(row.path)
        listing.classes = list(dict.fromkeys(label for _, label, _ in listing.files))
        listing.groups = [paths for group, paths in groups.items() if group]
        return listing


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    path: Path
    label: str
    split: SplitName | None
    group: str


def _is_new(path: Path, row: _Row, seen: dict[Path, _Row]) -> bool:
    """Return whether an image is new; StudioError if listed with other class or split."""
    before = seen.setdefault(row.path, row)
    if (before.label, before.split) != (row.label, row.split):
        raise StudioError(
            "list-conflict",
            "{path} lists {image} twice with different classes or splits, in lines {first} and {second}. "
            "Remove one of them.",
            path=display_path(path),
            image=display_path(row.path),
            first=before.line,
            second=row.line,
        )
    return before is row


def _rows(path: Path, listing: FileIndex) -> Iterator[_Row]:
    """Yield the complete rows; the others become an issue."""
    incomplete: list[int] = []
    for line, values in _read_parquet(path) if path.suffix.lower() in _PARQUET_SUFFIXES else _read_csv(path):
        if values["path"] and values["label"] and "\0" not in values["path"]:
            yield _row(path, line, values)
        else:
            incomplete.append(line)
    if incomplete:
        text = N_n(
            "{n:,} row without a path or a label is ignored (line {line}).",
            "{n:,} rows without a path or a label are ignored (the first in line {line}).",
            len(incomplete),
            line=incomplete[0],
        )
        listing.issues.append(Issue(text, kind="incomplete-row"))


def _row(path: Path, line: int, values: Mapping[str, str]) -> _Row:
    split = values.get("split", "").lower()
    if split and split not in SPLIT_ALIASES:
        raise StudioError(
            "unknown-split",
            "Line {line} of {path} has an unknown split: '{split}'. Use train, validation or test.",
            line=line,
            path=display_path(path),
            split=split,
        )
    return _Row(line, Path(values["path"]), values["label"], SPLIT_ALIASES.get(split), values.get("group", ""))


def _read_csv(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and stripped values, by column name in lower case."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=_separator(file.readline()))
            file.seek(0)
            header = [name.strip().lower() for name in next(reader, [])]
            _require_columns(path, header)
            for values in reader:
                if values:
                    filled = [*values, *[""] * (len(header) - len(values))]
                    yield reader.line_num, {name: v.strip() for name, v in zip(header, filled, strict=False)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StudioError(
            "unreadable-list",
            "The list {path} cannot be read: {reason}. Save it as CSV in UTF-8.",
            path=display_path(path),
            reason=_first_line(error),
        ) from error


def _read_parquet(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the same from a Parquet file, whose rows are counted from 1."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise StudioError(
            "missing-package",
            "{path} cannot be read: {package} is not installed. Install peft-studio[{extra}], or save the list as CSV.",
            path=display_path(path),
            package="pyarrow",
            extra="parquet",
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            given = {name: name.strip().lower() for name in file.schema_arrow.names}
            _require_columns(path, list(given.values()))
            wanted = [name for name, plain in given.items() if plain in _COLUMNS]
            rows = (row for batch in file.iter_batches(columns=wanted) for row in batch.to_pylist())
            for line, row in enumerate(rows, 1):
                yield line, {given[name]: "" if value is None else str(value).strip() for name, value in row.items()}
    except (OSError, pyarrow.ArrowException) as error:
        raise StudioError(
            "unreadable-list",
            "The list {path} cannot be read: {reason}. Export it again.",
            path=display_path(path),
            reason=_first_line(error),
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _separator(header: str) -> str:
    return max(_SEPARATORS, key=header.count)


def _require_columns(path: Path, header: list[str]) -> None:
    for name in ("path", "label"):
        if header.count(name) != 1:
            raise StudioError(
                "list-columns",
                "The list {path} cannot be read: its header must name the columns path and label once each. "
                "Choose another list, or correct its header.",
                path=display_path(path),
            )
