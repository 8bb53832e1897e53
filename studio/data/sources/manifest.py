"""A list of images in a CSV or Parquet file: the columns path and label, and perhaps split and group."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from studio.core.errors import StudioError
from studio.data.images.file_index import SPLIT_ALIASES, FileIndex, Issue, SplitName
from studio.data.images.path_text import display_path

_SEPARATORS = ",;\t"
_CSV_SUFFIXES, _PARQUET_SUFFIXES = (".csv", ".tsv"), (".parquet", ".pq")
_COLUMNS = ("path", "label", "split", "group")
MANIFEST_SUFFIXES = (*_CSV_SUFFIXES, *_PARQUET_SUFFIXES)


def is_manifest(path: Path) -> bool:
    """Whether the name is that of a list of images."""
    return path.suffix.lower() in MANIFEST_SUFFIXES and path.is_file()


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    path: Path
    label: str
    split: SplitName | None
    group: str


def list_manifest(path: Path) -> FileIndex:
    """The images of a list; their paths count from its folder. Images of one group stay on one side of a division.

    StudioError where the file is no such list or names a split that there is not.
    """
    listing, groups, seen = FileIndex(path.parent), defaultdict(list), dict[Path, _Row]()
    for row in _rows(path, listing):
        if _is_new(path, row, seen):
            listing.files.append((row.path, row.label, row.split))
            groups[row.group].append(row.path)
    listing.classes = list(dict.fromkeys(label for _, label, _ in listing.files))
    listing.groups = [paths for group, paths in groups.items() if group]
    return listing


def _is_new(path: Path, row: _Row, seen: dict[Path, _Row]) -> bool:
    """Whether a row's image was not listed before; StudioError where it was, as something else."""
    before = seen.setdefault(row.path, row)
    if (before.label, before.split) != (row.label, row.split):
        raise StudioError(
            f"{display_path(path)} lists {display_path(row.path)} in line {before.line} and, with another class or split, "
            f"in line {row.line}; take one of them out."
        )
    return before is row


def _rows(path: Path, listing: FileIndex) -> Iterator[_Row]:
    """The complete rows; the others become a finding."""
    incomplete: list[int] = []
    for line, values in _read_parquet(path) if path.suffix.lower() in _PARQUET_SUFFIXES else _read_csv(path):
        if values["path"] and values["label"] and "\0" not in values["path"]:
            yield _row(path, line, values)
        else:
            incomplete.append(line)
    if incomplete:
        text = f"Rows without a path or a label are left out: {len(incomplete)}, the first in line {incomplete[0]}."
        listing.issues.append(Issue(text, kind="incomplete-row"))


def _row(path: Path, line: int, values: Mapping[str, str]) -> _Row:
    split = values.get("split", "").lower()
    if split and split not in SPLIT_ALIASES:
        raise StudioError(
            f"Line {line} of {display_path(path)} has the split {split!r}; use train, validation or test."
        )
    return _Row(line, Path(values["path"]), values["label"], SPLIT_ALIASES.get(split), values.get("group", ""))


def _read_csv(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row with the number of its line, by column in lower case, every value stripped."""
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
        raise StudioError(f"The list {display_path(path)} cannot be read: {error}; save it as CSV in UTF-8.") from error


def _read_parquet(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The same of a Parquet file, whose rows are counted from 1."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise StudioError(
            f"{display_path(path)} needs pyarrow, which is not installed; install peft-studio[parquet], or save it as CSV."
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            given = {name: name.strip().lower() for name in file.schema_arrow.names}
            _require_columns(path, list(given.values()))
            wanted = [name for name, plain in given.items() if plain in _COLUMNS]
            line = 0
            for batch in file.iter_batches(columns=wanted):
                for row in batch.to_pylist():
                    line += 1
                    yield (
                        line,
                        {given[name]: "" if value is None else str(value).strip() for name, value in row.items()},
                    )
    except (OSError, pyarrow.ArrowException) as error:
        raise StudioError(f"The list {display_path(path)} cannot be read: {_first_line(error)}.") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _separator(header: str) -> str:
    return max(_SEPARATORS, key=header.count)


def _require_columns(path: Path, header: list[str]) -> None:
    for name in ("path", "label"):
        if header.count(name) != 1:
            raise StudioError(f"{display_path(path)} must name the columns path and label at its head, each once.")
