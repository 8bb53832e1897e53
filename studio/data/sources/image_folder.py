"""Folder with a folder of images per class, optionally below split folders."""

import os
from collections.abc import Iterator
from pathlib import Path

from studio.core.errors import StudioError
from studio.core.messages import N_, N_n
from studio.data.images.file_index import SPLIT_ALIASES, FileIndex, Issue, ProgressCallback, SplitName
from studio.data.images.path_text import IMAGE_SUFFIXES, display_path
from studio.data.sources.contract import Source, find_source, register

_SYSTEM_NAMES = frozenset(
    {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "@eadir", "lost+found"}
)


@register
class ImageFolder(Source):
    """A folder of class folders; also one that a single folder wraps."""

    name = "image_folder"
    label = N_("Folder")
    precedence = -1  # accepts each folder

    def accepts(self, path: Path) -> bool:
        """Return whether it is a folder."""
        return path.is_dir()

    def unpack(self, path: Path, progress: ProgressCallback) -> Path:
        """Return the only folder inside if it is a whole source and not a class."""
        inside = [entry for entry in sorted_entries(path) if entry.is_dir() or is_image(entry)]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name.lower() in SPLIT_ALIASES:
            return path
        is_source = has_only_subfolders(inside[0]) or find_source(inside[0]) is not self
        return inside[0] if is_source else path

    def list(self, path: Path) -> FileIndex:
        """Return the images by the class folder that they are in."""
        listing = FileIndex(path)
        for split, folder in _split_folders(path):
            _add_class_folders(path, folder, split, listing)
        return listing


def _split_folders(path: Path) -> list[tuple[SplitName | None, Path]]:
    """Return the split folders inside, or the folder itself without a split.

    A folder called "train" is a split only if it holds folders and no images and all folders beside it are splits; else
    it may be the class of trains.
    """
    folders = _subfolders(path)
    names = {SPLIT_ALIASES.get(folder.name.lower()) for folder in folders}
    if "train" not in names or None in names or not all(has_only_subfolders(folder) for folder in folders):
        return [(None, path)]
    return [(SPLIT_ALIASES[folder.name.lower()], folder) for folder in folders]


def has_only_subfolders(path: Path) -> bool:
    """Return whether there are folders in it, and no images beside them."""
    return bool(_subfolders(path)) and not any(is_image(entry) for entry in sorted_entries(path))


def _add_class_folders(root: Path, folder: Path, split: SplitName | None, listing: FileIndex) -> None:
    """Add the images of each class folder; files elsewhere become an issue."""
    loose = [entry.relative_to(root) for entry in sorted_entries(folder) if is_image(entry)]
    other: list[Path] = []
    for class_folder in _subfolders(folder):
        files = list(_walk_files(class_folder))
        images = [file.relative_to(root) for file in files if is_image(file)]
        other += [file.relative_to(root) for file in files if not is_image(file)]
        name = display_path(class_folder.name)
        if not images:
            text = N_("The folder {name} has no images and is ignored.", name=name)
            listing.issues.append(Issue(text, (class_folder.relative_to(root),), "empty-folder"))
        elif name not in listing.classes:
            listing.classes.append(name)
        listing.files += [(image, name, split) for image in images]
    if loose:
        text = N_n(
            "{n:,} image is in no class folder and is ignored.",
            "{n:,} images are in no class folder and are ignored.",
            len(loose),
        )
        listing.issues.append(Issue(text, tuple(loose), "outside-classes"))
    if other:
        text = N_n(
            "{n:,} file is not an image and is ignored.", "{n:,} files are not images and are ignored.", len(other)
        )
        listing.issues.append(Issue(text, tuple(other), "not-image"))


def _walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files below in fixed order, without linked folders, which may loop."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from (Path(parent, name) for name in sorted(files) if not is_hidden(name))


def sorted_entries(path: Path) -> list[Path]:
    """Return the visible entries of a folder, sorted; StudioError if unreadable."""
    try:
        return sorted(entry for entry in path.iterdir() if not is_hidden(entry.name))
    except OSError as error:
        raise StudioError(
            "unreadable-folder",
            "The folder {path} cannot be read: {reason}. Check its permissions.",
            path=display_path(path),
            reason=error.strerror or str(error),
        ) from error


def _subfolders(path: Path) -> list[Path]:
    return [entry for entry in sorted_entries(path) if entry.is_dir()]


def is_image(path: Path) -> bool:
    """Return whether the path has the suffix of an image and is not a folder."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()


def is_hidden(name: str) -> bool:
    """Return whether a name is hidden or one of the operating system."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES
