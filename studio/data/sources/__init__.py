"""Where images can come from. This is the one place that tells from a path which kind of source it is.

A folder with a folder for each class; a CSV or Parquet list; an archive of either folder; a folder of IDX files.
What is wrapped in one more folder is found inside it. Archives and IDX files are unpacked into the cache, and then
are folders like any other.
"""

from pathlib import Path

from studio.core.errors import StudioError
from studio.data.images.file_index import READY_MADE, Listing, Progress, quiet
from studio.data.images.path_text import shown
from studio.data.sources import archive, idx, manifest
from studio.data.sources.image_folder import entries, holds_only_folders, is_image, list_folder

_PICKLED = frozenset({"batches.meta", "data_batch_1", "test_batch"})
_PICKLED_100 = frozenset({"meta", "train", "test"})
_CIFAR = "cifar-10*"
"""How torchvision calls the folders of CIFAR-10 and CIFAR-100."""


def list_source(path: Path, progress: Progress = quiet) -> Listing:
    """The images of a source; StudioError where it is none, or is damaged."""
    return manifest.list_images(path) if manifest.is_manifest(path) else list_folder(root_of(path, progress))


def root_of(path: Path, progress: Progress = quiet) -> Path:
    """The folder that the images of a source are in; it is unpacked first where it has to be."""
    if not path.exists():
        raise StudioError(f"There is no folder {shown(path)}.")
    if path.is_dir():
        _refuse_pickles(path)
        packed, inner = idx.folder_in(path), _inner(path)
        return idx.unpacked(packed, progress) if packed else root_of(inner, progress) if inner else path
    if manifest.is_manifest(path):
        return path.parent
    if archive.is_archive(path):
        return root_of(archive.unpacked(path, progress), progress)
    raise StudioError(
        f"{shown(path)} is not a folder, a CSV or Parquet list, or a zip or tar archive; "
        "choose a folder with a folder of images for each class."
    )


def _inner(folder: Path) -> Path | None:
    """The folder that all of ``folder`` is in: an only one, with folders in it and no images, or IDX files; else None.

    One folder alone would be one class, which nothing can be learnt from.
    """
    inside = [entry for entry in entries(folder) if entry.is_dir() or is_image(entry)]
    wraps = len(inside) == 1 and inside[0].name.lower() not in READY_MADE
    return inside[0] if wraps and (holds_only_folders(inside[0]) or idx.is_idx(inside[0])) else None


def _is_pickled(folder: Path) -> bool:
    names = {entry.name for entry in entries(folder) if entry.is_file()}
    return bool(names & _PICKLED) or names >= _PICKLED_100


def _refuse_pickles(folder: Path) -> None:
    if _is_pickled(folder) or any(_is_pickled(below) for below in folder.glob(_CIFAR)):
        raise StudioError(
            f"{shown(folder)} holds CIFAR as Python pickles, which can run any code when they are opened; "
            "use the images of CIFAR as files, in one folder a class."
        )
