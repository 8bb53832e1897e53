"""Where images can come from. This is the one place that tells from a path which kind of source it is.

A folder with a folder for each class; a CSV or Parquet list; an archive of either folder; a folder of IDX files.
Archives and IDX files are unpacked into the cache, and then are folders like any other.
"""

from pathlib import Path

from studio.core.errors import StudioError
from studio.data import archive, idx, manifest
from studio.data.class_folders import entries, list_folder
from studio.data.listing import Listing, Progress, quiet
from studio.data.names import shown

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
        packed = idx.folder_in(path)
        return idx.unpacked(packed, progress) if packed else path
    if manifest.is_manifest(path):
        return path.parent
    if archive.is_archive(path):
        return root_of(_inner(archive.unpacked(path, progress)), progress)
    raise StudioError(
        f"{shown(path)} is not a folder, a CSV or Parquet list, or a zip or tar archive; "
        "choose a folder with a folder of images for each class."
    )


def _inner(folder: Path) -> Path:
    """The folder that all of an archive is in, if it is in one: an only folder of folders, or of IDX files."""
    inside = entries(folder)
    if len(inside) == 1 and inside[0].is_dir() and not _is_class(inside[0]):
        return _inner(inside[0])
    return folder


def _is_class(folder: Path) -> bool:
    return not idx.is_idx(folder) and not _is_pickled(folder) and not any(entry.is_dir() for entry in entries(folder))


def _is_pickled(folder: Path) -> bool:
    names = {entry.name for entry in entries(folder) if entry.is_file()}
    return bool(names & _PICKLED) or names >= _PICKLED_100


def _refuse_pickles(folder: Path) -> None:
    if _is_pickled(folder) or any(_is_pickled(below) for below in folder.glob(_CIFAR)):
        raise StudioError(
            f"{shown(folder)} holds CIFAR as Python pickles, which can run any code when they are opened; "
            "use the images of CIFAR as files, in one folder a class."
        )
