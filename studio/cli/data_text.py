"""What is in a folder of images and what is wrong with it, as text."""

from typing import TYPE_CHECKING

from studio.core.formatting import format_table
from studio.data.images.path_text import display_path

if TYPE_CHECKING:
    from pathlib import Path

    from studio.data.dataset.index import DatasetIndex

_MAX_FILES = 5


def format_dataset(summary: "DatasetIndex") -> str:
    """Images by class and by split, then a line for each finding with its first files."""
    classes = format_table(("class", "images"), zip(summary.classes, summary.class_counts, strict=True), right=(1,))
    splits = ", ".join(f"{count:,} {split}" for split, count in summary.counts.items() if count)
    findings = [f"{finding.text}{_file_lines(finding.files)}" for finding in summary.issues] or [
        "Nothing is wrong with it."
    ]
    return "\n\n".join(
        (f"{len(summary.images):,} images of {len(summary.classes)} classes: {splits}", classes, *findings)
    )


def _file_lines(files: "tuple[Path, ...]") -> str:
    more = f"\n  and {len(files) - _MAX_FILES} more" if len(files) > _MAX_FILES else ""
    return "".join(f"\n  {display_path(file)}" for file in files[:_MAX_FILES]) + more
