"""Listing: a text file with a path and a class in each line, divided by a tab."""

from pathlib import Path

from studio.api import FileIndex, Source, register_source


@register_source
class Listing(Source):
    """A ``.listing`` file."""

    name = "listing"
    label = "Listing"
    extensions = (".listing",)

    def accepts(self, path: Path) -> bool:
        """Return whether the path is a listing."""
        return self.has_extension(path)

    def list(self, path: Path) -> FileIndex:
        """Return the images of the listing."""
        rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        classes = sorted({label for _, label in rows})
        return FileIndex(path.parent, classes, [(path.parent / name, label, None) for name, label in rows])
