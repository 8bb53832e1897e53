"""CIFAR as Python pickles, which can run any code when opened: refused."""

from pathlib import Path

from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.data.images.file_index import ProgressCallback
from studio.data.images.path_text import display_path
from studio.data.sources.contract import Source, register
from studio.data.sources.image_folder import sorted_entries

_CIFAR10_FILES = frozenset({"batches.meta", "data_batch_1", "test_batch"})
_CIFAR100_FILES = frozenset({"meta", "train", "test"})
_FOLDER_GLOB = "cifar-10*"
"""Matches the folders that torchvision keeps CIFAR-10 and CIFAR-100 in."""


@register
class PickledCifar(Source):
    """A folder with CIFAR as pickles, or with such a folder in it; always refused."""

    name = "pickled_cifar"
    label = N_("CIFAR as Python pickles")
    precedence = 1

    def accepts(self, path: Path) -> bool:
        """Return whether pickles of CIFAR are in the folder."""
        return path.is_dir() and (_is_pickled(path) or any(map(_is_pickled, path.glob(_FOLDER_GLOB))))

    def unpack(self, path: Path, progress: ProgressCallback) -> Path:
        """Raise StudioError."""
        raise StudioError(
            "unsafe-source",
            "{path} holds CIFAR as Python pickles, which can run any code when opened. "
            "Use CIFAR as image files, in one folder per class.",
            path=display_path(path),
        )


def _is_pickled(folder: Path) -> bool:
    names = {entry.name for entry in sorted_entries(folder) if entry.is_file()}
    return bool(names & _CIFAR10_FILES) or names >= _CIFAR100_FILES
