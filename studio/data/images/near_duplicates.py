"""Duplicate images: exact copies, and scaled, recompressed or changed ones."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studio.data.images.image_metadata import ImageMetadata

MAX_HASH_DISTANCE = 3
"""Largest number of different bits in the fingerprints of near duplicates."""
MAX_THUMBNAIL_DIFFERENCE = 4.0
"""Largest mean difference of the thumbnails of near duplicates, of 255."""


def exact_duplicates(metadata: Mapping[Path, ImageMetadata]) -> list[tuple[Path, ...]]:
    """Return the groups of files with equal bytes."""
    by_digest: dict[str, list[Path]] = defaultdict(list)
    for path, image in metadata.items():
        by_digest[image.digest].append(path)
    return [tuple(paths) for paths in by_digest.values() if len(paths) > 1]


def find_near_duplicates(metadata: Mapping[Path, ImageMetadata]) -> list[tuple[Path, ...]]:
    """Return the groups of similar images, exact copies included, in the given order.

    Similarity is transitive: of three frames of a film the first and the last may differ more.
    """
    if not metadata:
        return []
    distinct = list({image.digest: image for image in metadata.values()}.values())
    components = connected_components(len(distinct), _similar_pairs(distinct))
    component_of = {image.digest: component for image, component in zip(distinct, components, strict=True)}
    groups: dict[int, list[Path]] = defaultdict(list)
    for path, image in metadata.items():
        groups[component_of[image.digest]].append(path)
    return [tuple(paths) for paths in groups.values() if len(paths) > 1]


def connected_components(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return the lowest index that ``pairs`` connect each of ``count`` indices to."""
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for first, second in pairs:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    return [root(index) for index in range(count)]


def _similar_pairs(metadata: Sequence[ImageMetadata]) -> Iterator[tuple[int, int]]:
    """Yield the indices of each two images that look alike.

    Thumbnails are similar only if their means are, so each is compared only with those of similar brightness.
    """
    thumbnails = np.array([np.frombuffer(bytes.fromhex(image.thumbnail), np.uint8) for image in metadata], np.int16)
    prints = np.array([image.fingerprint for image in metadata], np.uint64)
    means = thumbnails.reshape(len(metadata), -1).mean(axis=1)
    order = np.argsort(means)
    ends = np.searchsorted(means[order], means[order] + MAX_THUMBNAIL_DIFFERENCE, side="right")
    for rank, first in enumerate(order.tolist()):
        near = order[rank + 1 : ends[rank]]
        near = near[np.bitwise_count(prints[near] ^ prints[first]) <= MAX_HASH_DISTANCE]
        yield from ((first, second) for second in _with_similar_thumbnails(thumbnails, first, near))


def _with_similar_thumbnails(thumbnails: NDArray[np.int16], first: int, others: NDArray[np.intp]) -> list[int]:
    differences = np.abs(thumbnails[others] - thumbnails[first]).mean(axis=1)
    near: list[int] = others[differences <= MAX_THUMBNAIL_DIFFERENCE].tolist()
    return near
