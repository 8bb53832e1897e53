"""Where images can come from. This is the one place that tells from a path which kind of source it is.

A folder with a folder for each class; a CSV or Parquet list; an archive of either folder; a folder of IDX files.
What is wrapped in one more folder is found inside it. Archives and IDX files are unpacked into the cache, and then
are folders like any other.
"""

from pathlib import Path

from studio.core.errors import StudioError
from studio.data.images.file_index import SPLIT_ALIASES, FileIndex, ProgressCallback, no_progress
from studio.data.images.path_text import display_path
from studio.data.sources import archive, idx, manifest
from studio.data.sources.image_folder import has_only_subfolders, is_image, list_folder, sorted_entries

_CIFAR10_FILES = frozenset({"batches.meta", "data_batch_1", "test_batch"})
_CIFAR100_FILES = frozenset({"meta", "train", "test"})
_CIFAR_GLOB = "cifar-10*"
"""How torchvision calls the folders of CIFAR-10 and CIFAR-100."""


def list_source(path: Path, progress: ProgressCallback = no_progress) -> FileIndex:
    """The images of a source; StudioError where it is none, or is damaged."""
    return manifest.list_manifest(path) if manifest.is_manifest(path) else list_folder(source_root(path, progress))


def source_root(path: Path, progress: ProgressCallback = no_progress) -> Path:
    """The folder that the images of a source are in; it is unpacked first where it has to be."""
    if not path.exists():
        raise StudioError(f"There is no folder {display_path(path)}.")
    if path.is_dir():
        _refuse_pickles(path)
        packed, inner = idx.find_idx_root(path), _unwrap(path)
        return idx.cached_png_folder(packed, progress) if packed else source_root(inner, progress) if inner else path
    if manifest.is_manifest(path):
        return path.parent
    if archive.is_archive(path):
        return source_root(archive.cached_archive_folder(path, progress), progress)
    raise StudioError(
        f"{display_path(path)} is not a folder, a CSV or Parquet list, or a zip or tar archive; "
        "choose a folder with a folder of images for each class."
    )


def _unwrap(folder: Path) -> Path | None:
    """The folder that all of ``folder`` is in: an only one, with folders in it and no images, or IDX files; else None.

    One folder alone would be one class, which nothing can be learnt from.
    """
    inside = [entry for entry in sorted_entries(folder) if entry.is_dir() or is_image(entry)]
    wraps = len(inside) == 1 and inside[0].name.lower() not in SPLIT_ALIASES
    return inside[0] if wraps and (has_only_subfolders(inside[0]) or idx.is_idx(inside[0])) else None


def _is_pickled(folder: Path) -> bool:
    names = {entry.name for entry in sorted_entries(folder) if entry.is_file()}
    return bool(names & _CIFAR10_FILES) or names >= _CIFAR100_FILES


def _refuse_pickles(folder: Path) -> None:
    if _is_pickled(folder) or any(_is_pickled(below) for below in folder.glob(_CIFAR_GLOB)):
        raise StudioError(
            f"{display_path(folder)} holds CIFAR as Python pickles, which can run any code when they are opened; "
            "use the images of CIFAR as files, in one folder a class."
        )
