"""Split manifest of a run: images added to the folder later change no score."""

import json
from dataclasses import replace
from pathlib import Path

from studio.core.errors import StudioError
from studio.core.files import write_text
from studio.core.paths import resolve_path
from studio.core.recipe import Data
from studio.data.dataset.dataset import build_index
from studio.data.dataset.index import DatasetIndex, ImageFile
from studio.data.images.file_index import SPLITS
from studio.data.images.path_text import display_path
from studio.data.sources import source_root

SPLIT_FILE = "images.json"


def write_split(summary: DatasetIndex, folder: Path) -> None:
    """Write split and class of each image into the run directory ``folder``."""
    splits = {split: {image.path.as_posix(): image.label for image in summary.in_split(split)} for split in SPLITS}
    # ASCII, because a file name need not be valid Unicode
    raw = json.dumps({"path": str(summary.path), "classes": summary.classes, "splits": splits}, ensure_ascii=True)
    write_text(folder / SPLIT_FILE, raw)


def images_of_run(folder: Path, data: Data) -> DatasetIndex:
    """Return a run's images: as recorded, or by its recipe before it started.

    If they have moved, as after the run was copied to another machine, the recipe's path is used.
    """
    summary = read_split(folder)
    if summary is None:
        return build_index(data)
    return summary if summary.path.is_dir() else replace(summary, path=source_root(resolve_path(data.path)))


def read_split(folder: Path) -> DatasetIndex | None:
    """Return the result of :func:`write_split`, None if none; StudioError if damaged."""
    try:
        raw = json.loads((folder / SPLIT_FILE).read_text(encoding="utf-8"))
        images = tuple(
            ImageFile(Path(path), int(label), split) for split in SPLITS for path, label in raw["splits"][split].items()
        )
        return DatasetIndex(Path(raw["path"]), tuple(raw["classes"]), images)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudioError(
            "damaged-run",
            "The file {path} is damaged, so the images of the run are unknown. Train it again.",
            path=display_path(folder / SPLIT_FILE),
        ) from error
