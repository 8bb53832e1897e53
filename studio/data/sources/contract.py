"""Contract and registry of sources: each file here adds one kind of image source.

A plugin adds its own by an entry point in the group ``peft_studio.sources``.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from studio.core.errors import StudioError
from studio.core.messages import N_, Message
from studio.core.registry import Registry, import_package
from studio.data.images.file_index import FileIndex, ProgressCallback
from studio.data.images.path_text import display_path


class Source(ABC):
    """A kind of image source, such as a folder, a list or an archive.

    Subclasses implement :meth:`accepts` and either :meth:`list`, or :meth:`unpack` for a source that is first turned
    into another one. ``label`` names the kind in menus, ``extensions`` are the suffixes of its files, if any.
    Sources of a higher ``precedence`` are asked first.
    """

    name: str
    label: Message
    extensions: Sequence[str] = ()
    precedence: int = 0

    @abstractmethod
    def accepts(self, path: Path) -> bool:
        """Return whether ``path``, which exists, is such a source; must be fast."""

    def unpack(self, path: Path, progress: ProgressCallback) -> Path:
        """Return a source with the same images, or ``path``; StudioError if damaged."""
        return path

    def list(self, path: Path) -> FileIndex:
        """Return the images of an accepted path; StudioError if damaged."""
        raise NotImplementedError(f"{type(self).__name__} neither lists nor unpacks {path}")

    def root(self, path: Path) -> Path:
        """Return the folder that the images' paths are relative to."""
        return path if path.is_dir() else path.parent

    def has_extension(self, path: Path) -> bool:
        """Return whether ``path`` is a file whose name ends with one of ``extensions``."""
        return path.name.lower().endswith(tuple(self.extensions)) and path.is_file()


SOURCES: Registry[Source] = Registry(
    N_("image source"), "peft_studio.sources", partial(import_package, "studio.data.sources")
)

S = TypeVar("S", bound=type[Source])


def register(cls: S) -> S:
    """Class decorator: add a source to the registry."""
    SOURCES.register(cls())
    return cls


def find_source(path: Path) -> Source:
    """Return the source that accepts ``path``; StudioError if none does."""
    if not path.exists():
        raise StudioError("no-source", "There is no folder {path}. Choose a folder of images.", path=display_path(path))
    for source in sorted(SOURCES, key=lambda source: -source.precedence):
        if source.accepts(path):
            return source
    raise StudioError(
        "unknown-source",
        "{path} is not a folder, a CSV or Parquet list, or a zip or tar archive. "
        "Choose a folder with a folder of images for each class.",
        path=display_path(path),
    )
