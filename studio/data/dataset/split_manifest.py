"""The division that a run was trained on, kept in the run: what is added to the folder later changes no score of it."""

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
from studio.data.sources import source_root

SPLIT_FILE = "images.json"


def write_split(summary: DatasetIndex, folder: Path) -> None:
    """Keep which image is in which split, and its class, in ``folder``."""
    splits = {split: {image.path.as_posix(): image.label for image in summary.in_split(split)} for split in SPLITS}
    # Escaped, because a file name need not be valid Unicode.
    raw = json.dumps({"path": str(summary.path), "classes": summary.classes, "splits": splits}, ensure_ascii=True)
    write_text(folder / SPLIT_FILE, raw)


def images_of_run(folder: Path, data: Data) -> DatasetIndex:
    """The images that the run in ``folder`` is trained on: as recorded, or before that as its recipe's data says.

    Where they are no longer, as after the run was copied to another machine, they are looked for where the recipe says.
    """
    summary = read_split(folder)
    if summary is None:
        return build_index(data)
    return summary if summary.path.is_dir() else replace(summary, path=source_root(resolve_path(data.path)))


def read_split(folder: Path) -> DatasetIndex | None:
    """What :func:`write_split` kept, without looking at the images; None where nothing was kept.

    Raises StudioError where it is damaged.
    """
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
            f"{folder / SPLIT_FILE} is damaged, so the run's images are not known; train it again."
        ) from error
