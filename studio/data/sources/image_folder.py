"""A folder with one folder of images for each class, perhaps below folders for the splits: the list of its images."""

import os
from collections.abc import Iterator
from pathlib import Path

from studio.core.errors import StudioError
from studio.data.images.decode import SUFFIXES
from studio.data.images.file_index import READY_MADE, Finding, Listing, SplitName
from studio.data.images.path_text import shown

_SYSTEM = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "@eadir", "lost+found"})


def list_folder(path: Path) -> Listing:
    """The images in a folder by the folder inside it that they are in."""
    listing = Listing(path)
    for split, folder in _split_folders(path):
        _list_classes(path, folder, split, listing)
    return listing


def _split_folders(path: Path) -> list[tuple[SplitName | None, Path]]:
    """The ready-made splits of a folder, or the folder itself as one without a split.

    A folder called "train" is a split only where it holds folders and no images, beside nothing but other splits:
    it may as well be the class of trains.
    """
    folders = _folders(path)
    names = {READY_MADE.get(folder.name.lower()) for folder in folders}
    if "train" not in names or None in names or not all(holds_only_folders(folder) for folder in folders):
        return [(None, path)]
    return [(READY_MADE[folder.name.lower()], folder) for folder in folders]


def holds_only_folders(path: Path) -> bool:
    """Whether there are folders in it, and no images beside them."""
    return bool(_folders(path)) and not any(is_image(entry) for entry in entries(path))


def _list_classes(root: Path, folder: Path, split: SplitName | None, listing: Listing) -> None:
    """Add the images of each class folder in ``folder``; what is not in one is a finding."""
    loose = [entry.relative_to(root) for entry in entries(folder) if is_image(entry)]
    other: list[Path] = []
    for class_folder in _folders(folder):
        files = list(_walk(class_folder))
        images = [file.relative_to(root) for file in files if is_image(file)]
        other += [file.relative_to(root) for file in files if not is_image(file)]
        name = shown(class_folder.name)
        if not images:
            text = f"The folder {name} has no images and is left out."
            listing.problems.append(Finding(text, (class_folder.relative_to(root),), "empty-folder"))
        elif name not in listing.classes:
            listing.classes.append(name)
        listing.files += [(image, name, split) for image in images]
    listing.note("outside-classes", loose, "outside any class folder and left out")
    listing.note("not-image", other, "not an image and ignored", "not images and ignored")


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder in a fixed order; linked folders inside are not followed, so there are no loops."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not ignored(name))
        yield from (Path(parent, name) for name in sorted(files) if not ignored(name))


def entries(path: Path) -> list[Path]:
    """What is in a folder, sorted; StudioError where it cannot be read."""
    try:
        return sorted(entry for entry in path.iterdir() if not ignored(entry.name))
    except OSError as error:
        raise StudioError(f"The folder {shown(path)} cannot be read: {error.strerror}.") from error


def _folders(path: Path) -> list[Path]:
    return [entry for entry in entries(path) if entry.is_dir()]


def is_image(path: Path) -> bool:
    """Whether it is a file that is called as images are."""
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def ignored(name: str) -> bool:
    """Whether a file or folder is hidden or the system's own."""
    return name.startswith(".") or name.lower() in _SYSTEM
