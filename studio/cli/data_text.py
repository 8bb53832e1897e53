"""The images of a folder and their issues as text."""

from typing import TYPE_CHECKING

from studio.cli.tables import Part, make_table
from studio.data.images.path_text import display_path

if TYPE_CHECKING:
    from pathlib import Path

    from studio.data.dataset.index import DatasetIndex

_MAX_FILES = 5


def dataset_parts(index: "DatasetIndex") -> tuple[Part, ...]:
    """Return images by class and by split, then each issue with its first files."""
    splits = ", ".join(f"{count:,} {split}" for split, count in index.counts.items() if count)
    title = f"{len(index.images):,} images of {len(index.classes)} classes: {splits}"
    classes = make_table(("class", "images"), zip(index.classes, index.class_counts, strict=True), right=(1,))
    issues = [f"{issue.text}{_file_lines(issue.files)}" for issue in index.issues] or ["No issues found."]
    return title, classes, *issues


def _file_lines(files: "tuple[Path, ...]") -> str:
    more = f"\n  and {len(files) - _MAX_FILES} more" if len(files) > _MAX_FILES else ""
    return "".join(f"\n  {display_path(file)}" for file in files[:_MAX_FILES]) + more
