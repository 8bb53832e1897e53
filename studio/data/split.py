"""Dividing images into training and validation: stratified by class, decided by file names and seed alone."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from studio.core.recipe import Split


def held_out(images: Iterable[tuple[Path, int]], split: Split) -> frozenset[Path]:
    """The paths kept for validation out of (path, label) pairs: the given fraction of each class.

    Each class with two images or more has at least one on either side; a single image stays in training. Images are
    ranked by a hash of seed and path, so that adding one image moves few others.
    """
    by_class: dict[int, list[Path]] = defaultdict(list)
    for path, label in images:
        by_class[label].append(path)
    return frozenset(path for paths in by_class.values() for path in _held_out_of(paths, split))


def _held_out_of(paths: list[Path], split: Split) -> list[Path]:
    wanted = max(1, round(split.validation * len(paths)))
    return sorted(paths, key=lambda path: _rank(path, split.seed))[: min(wanted, len(paths) - 1)]


def _rank(path: Path, seed: int) -> bytes:
    name = os.fsencode(path.as_posix())
    return hashlib.sha256(f"{seed}/".encode() + name).digest()
