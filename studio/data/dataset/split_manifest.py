"""The division that a run was trained on, kept in the run: what is added to the folder later changes no score of it."""

import json
from dataclasses import replace
from pathlib import Path

from studio.core.errors import StudioError
from studio.core.files import write_text
from studio.core.paths import locate
from studio.core.recipe import Data
from studio.data.dataset.dataset import open_folder
from studio.data.dataset.index import DatasetSummary, ImageFile
from studio.data.images.file_index import SPLITS
from studio.data.sources import root_of

FILE = "images.json"


def write(summary: DatasetSummary, folder: Path) -> None:
    """Keep which image is in which split, and its class, in ``folder``."""
    splits = {split: {image.path.as_posix(): image.label for image in summary.of(split)} for split in SPLITS}
    # Escaped, because a file name need not be valid Unicode.
    raw = json.dumps({"path": str(summary.path), "classes": summary.classes, "splits": splits}, ensure_ascii=True)
    write_text(folder / FILE, raw)


def images_of(folder: Path, data: Data) -> DatasetSummary:
    """The images that the run in ``folder`` is trained on: as recorded, or before that as its recipe's data says.

    Where they are no longer, as after the run was copied to another machine, they are looked for where the recipe says.
    """
    summary = read(folder)
    if summary is None:
        return open_folder(data)
    return summary if summary.path.is_dir() else replace(summary, path=root_of(locate(data.path)))


def read(folder: Path) -> DatasetSummary | None:
    """What :func:`write` kept, without looking at the images; None where nothing was kept.

    Raises StudioError where it is damaged.
    """
    try:
        raw = json.loads((folder / FILE).read_text(encoding="utf-8"))
        images = tuple(
            ImageFile(Path(path), int(label), split) for split in SPLITS for path, label in raw["splits"][split].items()
        )
        return DatasetSummary(Path(raw["path"]), tuple(raw["classes"]), images)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudioError(f"{folder / FILE} is damaged, so the run's images are not known; train it again.") from error
