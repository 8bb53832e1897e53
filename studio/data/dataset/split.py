"""Stratified training and validation split, a function of file names and seed."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from studio.core.recipe import Split
from studio.data.images.near_duplicates import connected_components

ImageGroup = tuple[Path, ...]
"""Images that stay together; usually one."""


def stratified_group_split(
    images: Iterable[tuple[Path, int]], split: Split, groups: Iterable[Sequence[Path]] = ()
) -> frozenset[Path]:
    """Return the validation images: a fraction of each class, or one fold of it.

    No group is split. Each class with at least two images or groups has some in both splits (with folds: some in
    training); a single one is in training. The order is a hash of seed and path, so that adding one image moves few
    others.
    """
    by_class: dict[int, list[ImageGroup]] = defaultdict(list)
    for group, label in _labeled_groups(dict(images), groups):
        by_class[label].append(group)
    choose = _pick_fold if split.folds else _pick_fraction
    return frozenset(path for members in by_class.values() for group in choose(members, split) for path in group)


def _labeled_groups(labels: Mapping[Path, int], groups: Iterable[Sequence[Path]]) -> Iterator[tuple[ImageGroup, int]]:
    """Yield disjoint groups, also of one image, with the class of most of its images."""
    for merged in merge_groups(
        [[path for path in group if path in labels] for group in groups] + [[path] for path in labels]
    ):
        counts = Counter(labels[path] for path in merged)
        yield merged, min(counts, key=lambda label: (-counts[label], label))


def merge_groups(groups: Iterable[Sequence[Path]]) -> list[ImageGroup]:
    """Return the groups, merged if they share an image; the images of each are sorted."""
    listed = [group for group in groups if group]
    index = {path: i for i, path in enumerate(dict.fromkeys(path for group in listed for path in group))}
    pairs = ((index[group[0]], index[path]) for group in listed for path in group[1:])
    members: dict[int, list[Path]] = defaultdict(list)
    for path, root in zip(index, connected_components(len(index), pairs), strict=True):
        members[root].append(path)
    return [tuple(sorted(paths, key=os.fsencode)) for paths in members.values()]


def _pick_fraction(groups: Sequence[ImageGroup], split: Split) -> list[ImageGroup]:
    """Return the first groups by rank that fit, else the smallest; never all of them."""
    left = max(1, round(split.validation * sum(map(len, groups))))
    ranked = sorted(groups, key=lambda group: _hash_rank(group, split.seed))
    chosen: list[ImageGroup] = []
    for group in ranked:
        if len(group) <= left and len(chosen) < len(groups) - 1:
            chosen.append(group)
            left -= len(group)
    return chosen or sorted(ranked, key=len)[: len(groups) - 1][:1]


def _pick_fold(groups: Sequence[ImageGroup], split: Split) -> list[ImageGroup]:
    """Return the groups of one fold; each group goes to the smallest fold so far."""
    ranked = sorted(groups, key=lambda group: _hash_rank(group, split.seed))
    # Classes start with different folds, because else all small classes would be in the first.
    first = int.from_bytes(_hash_rank(ranked[0], split.seed)[:8], "big")
    sizes, chosen = [0] * split.folds, []
    for group in ranked:
        fold = sizes.index(min(sizes))
        sizes[fold] += len(group)
        if (fold + first) % split.folds == split.fold:
            chosen.append(group)
    return chosen if len(groups) > 1 else []


def _hash_rank(group: ImageGroup, seed: int) -> bytes:
    name = os.fsencode(group[0].as_posix())
    return hashlib.sha256(f"{seed}/".encode() + name).digest()
