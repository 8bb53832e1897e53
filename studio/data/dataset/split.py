"""Dividing images into training and validation: stratified by class, decided by file names and seed alone."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from studio.core.recipe import Split

ImageGroup = tuple[Path, ...]
"""Images that stay together; most often one alone."""


def stratified_group_split(
    images: Iterable[tuple[Path, int]], split: Split, groups: Iterable[Sequence[Path]] = ()
) -> frozenset[Path]:
    """The paths kept for validation out of (path, label) pairs: the given fraction of each class, or one fold of it.

    No group is ever cut. Each class with two images or groups or more has some on either side (in a fold: some in
    training); a single one stays in training. They are ranked by a hash of seed and path, so that adding one image
    moves few others.
    """
    by_class: dict[int, list[ImageGroup]] = defaultdict(list)
    for unit, label in _labeled_groups(dict(images), groups):
        by_class[label].append(unit)
    choose = _pick_fold if split.folds else _pick_fraction
    return frozenset(path for units in by_class.values() for unit in choose(units, split) for path in unit)


def _labeled_groups(labels: Mapping[Path, int], groups: Iterable[Sequence[Path]]) -> Iterator[tuple[ImageGroup, int]]:
    """Groups that share no image, and every other image alone, each with the class that most of its images have."""
    for unit in merge_groups(
        [[path for path in group if path in labels] for group in groups] + [[path] for path in labels]
    ):
        counted = Counter(labels[path] for path in unit)
        yield unit, min(counted, key=lambda label: (-counted[label], label))


def merge_groups(groups: Iterable[Sequence[Path]]) -> list[ImageGroup]:
    """The groups with those that share an image made one; the images in each are sorted."""
    listed = [group for group in groups if group]
    place = {path: place for place, path in enumerate(dict.fromkeys(path for group in listed for path in group))}
    pairs = ((place[group[0]], place[path]) for group in listed for path in group[1:])
    members: dict[int, list[Path]] = defaultdict(list)
    for path, root in zip(place, connected_components(len(place), pairs), strict=True):
        members[root].append(path)
    return [tuple(sorted(paths, key=os.fsencode)) for paths in members.values()]


def connected_components(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """For each of ``count`` things the first one that it is joined to, directly or through others."""
    parent = list(range(count))

    def root(thing: int) -> int:
        while parent[thing] != thing:
            parent[thing] = parent[parent[thing]]
            thing = parent[thing]
        return thing

    for first, second in pairs:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    return [root(thing) for thing in range(count)]


def _pick_fraction(groups: Sequence[ImageGroup], split: Split) -> list[ImageGroup]:
    """Units in the order of their rank while they fit; where none fits, the smallest; never all of them."""
    wanted = max(1, round(split.validation * sum(map(len, groups))))
    ranked = sorted(groups, key=lambda unit: _hash_rank(unit, split.seed))
    kept: list[ImageGroup] = []
    for unit in ranked:
        if len(unit) <= wanted and len(kept) < len(groups) - 1:
            kept.append(unit)
            wanted -= len(unit)
    return kept or sorted(ranked, key=len)[: len(groups) - 1][:1]


def _pick_fold(groups: Sequence[ImageGroup], split: Split) -> list[ImageGroup]:
    """The units of one fold, after each was put into the fold that has the fewest images by then."""
    ranked = sorted(groups, key=lambda unit: _hash_rank(unit, split.seed))
    # Not every class starts with the same fold, else small classes would all be in that one.
    first = int.from_bytes(_hash_rank(ranked[0], split.seed)[:8], "big")
    sizes, kept = [0] * split.folds, []
    for unit in ranked:
        fold = sizes.index(min(sizes))
        sizes[fold] += len(unit)
        if (fold + first) % split.folds == split.fold:
            kept.append(unit)
    return kept if len(groups) > 1 else []


def _hash_rank(group: ImageGroup, seed: int) -> bytes:
    name = os.fsencode(group[0].as_posix())
    return hashlib.sha256(f"{seed}/".encode() + name).digest()
