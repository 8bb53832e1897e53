"""Images that look the same: exact copies, and copies that were scaled, compressed again or slightly changed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studio.data.dataset.split import connected_components
from studio.data.images.image_metadata import ImageMetadata

MAX_HASH_DISTANCE = 3
"""Two images look alike only if their fingerprints differ in no more bits than this,"""
MAX_THUMBNAIL_DIFFERENCE = 4.0
"""and their thumbnails by no more than this on average, of 255."""


def exact_duplicates(metadata: Mapping[Path, ImageMetadata]) -> list[tuple[Path, ...]]:
    """The groups of files with the same bytes."""
    by_digest: dict[str, list[Path]] = defaultdict(list)
    for path, its in metadata.items():
        by_digest[its.digest].append(path)
    return [tuple(paths) for paths in by_digest.values() if len(paths) > 1]


def find_near_duplicates(metadata: Mapping[Path, ImageMetadata]) -> list[tuple[Path, ...]]:
    """The groups of images that look alike, exact copies among them, each in the order of ``metadata``.

    A group is joined through its members: of three frames of a film the first and the last may differ more.
    """
    if not metadata:
        return []
    one_each = list({its.digest: its for its in metadata.values()}.values())
    group_of = dict(
        zip(
            (its.digest for its in one_each), connected_components(len(one_each), _similar_pairs(one_each)), strict=True
        )
    )
    groups: dict[int, list[Path]] = defaultdict(list)
    for path, its in metadata.items():
        groups[group_of[its.digest]].append(path)
    return [tuple(paths) for paths in groups.values() if len(paths) > 1]


def _similar_pairs(metadata: Sequence[ImageMetadata]) -> Iterator[tuple[int, int]]:
    """The places of any two that look alike.

    Thumbnails cannot be near when their means are not, so each is compared only with those of about its brightness.
    """
    thumbnails = np.array([np.frombuffer(bytes.fromhex(its.thumbnail), np.uint8) for its in metadata], np.int16)
    prints = np.array([its.fingerprint for its in metadata], np.uint64)
    means = thumbnails.reshape(len(metadata), -1).mean(axis=1)
    order = np.argsort(means)
    ends = np.searchsorted(means[order], means[order] + MAX_THUMBNAIL_DIFFERENCE, side="right")
    for place, first in enumerate(order.tolist()):
        near = order[place + 1 : ends[place]]
        near = near[np.bitwise_count(prints[near] ^ prints[first]) <= MAX_HASH_DISTANCE]
        yield from ((first, second) for second in _with_similar_thumbnails(thumbnails, first, near))


def _with_similar_thumbnails(thumbnails: NDArray[np.int16], first: int, others: NDArray[np.intp]) -> list[int]:
    differences = np.abs(thumbnails[others] - thumbnails[first]).mean(axis=1)
    near: list[int] = others[differences <= MAX_THUMBNAIL_DIFFERENCE].tolist()
    return near
