"""A folder with one folder of images for each class, perhaps below folders for the splits: the list of its images."""

import os
from collections.abc import Iterator
from pathlib import Path

from studio.core.errors import StudioError
from studio.data.images.decode import IMAGE_SUFFIXES
from studio.data.images.file_index import SPLIT_ALIASES, FileIndex, Issue, SplitName
from studio.data.images.path_text import display_path

_SYSTEM_NAMES = frozenset(
    {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "@eadir", "lost+found"}
)


def list_folder(path: Path) -> FileIndex:
    """The images in a folder by the folder inside it that they are in."""
    listing = FileIndex(path)
    for split, folder in _split_folders(path):
        _add_class_folders(path, folder, split, listing)
    return listing


def _split_folders(path: Path) -> list[tuple[SplitName | None, Path]]:
    """The ready-made splits of a folder, or the folder itself as one without a split.

    A folder called "train" is a split only where it holds folders and no images, beside nothing but other splits:
    it may as well be the class of trains.
    """
    folders = _subfolders(path)
    names = {SPLIT_ALIASES.get(folder.name.lower()) for folder in folders}
    if "train" not in names or None in names or not all(has_only_subfolders(folder) for folder in folders):
        return [(None, path)]
    return [(SPLIT_ALIASES[folder.name.lower()], folder) for folder in folders]


def has_only_subfolders(path: Path) -> bool:
    """Whether there are folders in it, and no images beside them."""
    return bool(_subfolders(path)) and not any(is_image(entry) for entry in sorted_entries(path))


def _add_class_folders(root: Path, folder: Path, split: SplitName | None, listing: FileIndex) -> None:
    """Add the images of each class folder in ``folder``; what is not in one is a finding."""
    loose = [entry.relative_to(root) for entry in sorted_entries(folder) if is_image(entry)]
    other: list[Path] = []
    for class_folder in _subfolders(folder):
        files = list(_walk_files(class_folder))
        images = [file.relative_to(root) for file in files if is_image(file)]
        other += [file.relative_to(root) for file in files if not is_image(file)]
        name = display_path(class_folder.name)
        if not images:
            text = f"The folder {name} has no images and is left out."
            listing.issues.append(Issue(text, (class_folder.relative_to(root),), "empty-folder"))
        elif name not in listing.classes:
            listing.classes.append(name)
        listing.files += [(image, name, split) for image in images]
    listing.add_issue("outside-classes", loose, "outside any class folder and left out")
    listing.add_issue("not-image", other, "not an image and ignored", "not images and ignored")


def _walk_files(folder: Path) -> Iterator[Path]:
    """All files below a folder in a fixed order; linked folders inside are not followed, so there are no loops."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from (Path(parent, name) for name in sorted(files) if not is_hidden(name))


def sorted_entries(path: Path) -> list[Path]:
    """What is in a folder, sorted; StudioError where it cannot be read."""
    try:
        return sorted(entry for entry in path.iterdir() if not is_hidden(entry.name))
    except OSError as error:
        raise StudioError(f"The folder {display_path(path)} cannot be read: {error.strerror}.") from error


def _subfolders(path: Path) -> list[Path]:
    return [entry for entry in sorted_entries(path) if entry.is_dir()]


def is_image(path: Path) -> bool:
    """Whether it is a file that is called as images are."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden or the system's own."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES
