"""Images that look the same: exact copies, and copies that were scaled, compressed again or slightly changed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studio.data.dataset.split import joined
from studio.data.images.image_metadata import Facts

BITS = 3
"""Two images look alike only if their fingerprints differ in no more bits than this,"""
LEVELS = 4.0
"""and their thumbnails by no more than this on average, of 255."""


def copies(facts: Mapping[Path, Facts]) -> list[tuple[Path, ...]]:
    """The groups of files with the same bytes."""
    by_digest: dict[str, list[Path]] = defaultdict(list)
    for path, its in facts.items():
        by_digest[its.digest].append(path)
    return [tuple(paths) for paths in by_digest.values() if len(paths) > 1]


def look_alikes(facts: Mapping[Path, Facts]) -> list[tuple[Path, ...]]:
    """The groups of images that look alike, exact copies among them, each in the order of ``facts``.

    A group is joined through its members: of three frames of a film the first and the last may differ more.
    """
    if not facts:
        return []
    one_each = list({its.digest: its for its in facts.values()}.values())
    group_of = dict(zip((its.digest for its in one_each), joined(len(one_each), _pairs(one_each)), strict=True))
    groups: dict[int, list[Path]] = defaultdict(list)
    for path, its in facts.items():
        groups[group_of[its.digest]].append(path)
    return [tuple(paths) for paths in groups.values() if len(paths) > 1]


def _pairs(facts: Sequence[Facts]) -> Iterator[tuple[int, int]]:
    """The places of any two that look alike.

    Thumbnails cannot be near when their means are not, so each is compared only with those of about its brightness.
    """
    thumbnails = np.array([np.frombuffer(bytes.fromhex(its.thumbnail), np.uint8) for its in facts], np.int16)
    prints = np.array([its.fingerprint for its in facts], np.uint64)
    means = thumbnails.reshape(len(facts), -1).mean(axis=1)
    order = np.argsort(means)
    ends = np.searchsorted(means[order], means[order] + LEVELS, side="right")
    for place, first in enumerate(order.tolist()):
        near = order[place + 1 : ends[place]]
        near = near[np.bitwise_count(prints[near] ^ prints[first]) <= BITS]
        yield from ((first, second) for second in _near(thumbnails, first, near))


def _near(thumbnails: NDArray[np.int16], first: int, others: NDArray[np.intp]) -> list[int]:
    differences = np.abs(thumbnails[others] - thumbnails[first]).mean(axis=1)
    near: list[int] = others[differences <= LEVELS].tolist()
    return near
