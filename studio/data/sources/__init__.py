"""Image sources, one kind a file: folders, lists, archives, IDX files.

Archives and IDX files are unpacked into the cache, and then are folders like any other.
"""

from pathlib import Path

from studio.data.images.file_index import FileIndex, ProgressCallback, no_progress
from studio.data.sources.contract import Source, find_source


def list_source(path: Path, progress: ProgressCallback = no_progress) -> FileIndex:
    """Return the images of a source, unpacked if needed; StudioError if not readable."""
    source, unpacked = _unpack(path, progress)
    return source.list(unpacked)


def source_root(path: Path, progress: ProgressCallback = no_progress) -> Path:
    """Return the folder that a source's paths are relative to, unpacked if needed."""
    source, unpacked = _unpack(path, progress)
    return source.root(unpacked)


def _unpack(path: Path, progress: ProgressCallback) -> tuple[Source, Path]:
    source = find_source(path)
    unpacked = source.unpack(path, progress)
    return (source, path) if unpacked == path else _unpack(unpacked, progress)
