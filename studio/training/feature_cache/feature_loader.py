"""Features of a frozen prefix, cached in memory or a memory-mapped file.

The last digits of a matrix product depend on the other images of the batch. So that a resumed run has the same
features, those of an image are always computed in its batch of the first epoch, even if a later epoch needs them first.
Each fixed view of an image counts as an image of its own (a row), and its first epoch is that of the view.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from studio.core import paths
from studio.data.images.decode import UnreadableImageError
from studio.data.loader import Batch, Loader
from studio.training.feature_cache.disk_cache import CachedFeatures, FeatureCache

MAX_MEMORY_BYTES = 1 << 30
"""Features of a split up to this size are cached in memory, larger ones in a file."""
MAX_DISK_FRACTION = 0.5
"""Largest share of the free disk for that file; larger features are computed in every epoch."""


class CachedFeatureLoader:
    """A batch source of features, to which ``prefix`` maps the images.

    Features are read from ``cache`` if another run saved them there, and saved there when they are complete.
    """

    def __init__(self, loader: Loader, prefix: Callable[[Tensor], Tensor], cache: FeatureCache | None = None) -> None:
        self.dataset = loader.dataset
        self._loader, self._prefix = loader, prefix
        self._views, images = max(1, loader.num_views), len(self.dataset)
        self._groups = [view * images + batch for view in range(self._views) for batch in loader.batch_indices(view)]
        rows = self._views * images
        self._group_of = torch.full((rows,), -1)
        for number, group in enumerate(self._groups):
            self._group_of[group] = number
        self._computed = torch.zeros(len(self._groups), dtype=torch.bool)
        self._readable = torch.ones(rows, dtype=torch.bool)
        self._store: Tensor | None = None
        self._mix_targets, self._mix_lambdas = torch.zeros(rows, dtype=torch.int64), torch.ones(rows)
        self._has_storage = True
        self._cache = cache
        if cache and (cached := cache.get()):
            self._store, self._mix_targets, self._mix_lambdas = cached.features, cached.mix_targets, cached.mix_lambdas
            self._computed[:] = True

    def __len__(self) -> int:
        return len(self._loader)

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """Return the batches of an epoch, from the batch at ``start``."""
        view, groups = self._view(epoch), len(self._loader)
        first = view * groups + start
        if not self._has_storage:
            yield from (
                self._run_prefix(batch) for batch in self._loader.read_batches(self._batch_indices(epoch, start), epoch)
            )
        elif self._in_order(epoch) and not self._computed[first : (view + 1) * groups].all():
            for number, batch in enumerate(self._loader.batches(view, start), first):
                yield self._compute_group(number, batch)
        else:
            yield from (self._gather(indices, view) for indices in self._batch_indices(epoch, start))

    def _view(self, epoch: int) -> int:
        return epoch % self._views

    def _in_order(self, epoch: int) -> bool:
        """Return whether the batches of an epoch are those that features are computed in."""
        return epoch < self._views or not self._loader.shuffle

    def _batch_indices(self, epoch: int, start: int) -> Iterator[Tensor]:
        """Yield the images of each batch that are in the shard of this process."""
        owned = self._group_of.view(self._views, -1)[self._view(epoch)] >= 0
        return (indices[owned[indices]] for indices in self._loader.global_batch_indices(epoch, start))

    def _run_prefix(self, batch: Batch) -> Batch:
        return replace(batch, inputs=self._prefix(batch.inputs)) if len(batch) else batch

    def _compute_group(self, number: int, batch: Batch) -> Batch:
        """Compute the features of a group and cache them."""
        features, group = self._run_prefix(batch), self._groups[number]
        rows = features.indices + number // len(self._loader) * len(self.dataset)
        if len(features):
            if self._store is None and self._has_storage:
                self._store = _allocate(len(self._group_of), features.inputs)
                self._has_storage = self._store is not None
            if self._store is not None:
                self._store[rows] = features.inputs.cpu()
            if features.mix_targets is not None and features.mix_lambdas is not None:
                self._mix_targets[rows], self._mix_lambdas[rows] = features.mix_targets, features.mix_lambdas
        self._readable[group] = torch.isin(group, rows)
        self._computed[number] = True
        if self._cache and self._store is not None and bool(self._computed.all() & self._readable.all()):
            self._cache.put(CachedFeatures(self._store, self._mix_targets, self._mix_lambdas))
        return features

    def _gather(self, indices: Tensor, view: int) -> Batch:
        """Return cached features; missing ones are computed first."""
        unreadable: list[UnreadableImageError] = []
        first = view * len(self.dataset)
        for number in self._group_of[first + indices].unique().tolist():
            if not self._computed[number]:
                batch = self._loader.read_batch(view, number % len(self._loader))
                unreadable += self._compute_group(number, batch).unreadable
        readable = indices[self._readable[first + indices]]
        rows = first + readable
        features = self._store[rows] if self._store is not None else torch.empty(0)
        mixed = (self._mix_targets[rows], self._mix_lambdas[rows]) if self._loader.mixing else (None, None)
        return Batch(features, self.dataset.labels[readable], readable, tuple(unreadable), *mixed)


def _allocate(num_rows: int, features: Tensor) -> Tensor | None:
    """Allocate rows like those of ``features`` (N, ...); None without space."""
    shape = (num_rows, *features.shape[1:])
    size = num_rows * features[0].numel() * features.element_size()
    storage = storage_for(size)
    if storage == "memory":
        return torch.empty(shape, dtype=features.dtype)
    if storage == "nowhere":
        return None
    folder = paths.cache_dir()
    # The file has no name, so that the system removes it when the process ends.
    with tempfile.TemporaryFile(dir=folder) as file:
        raw = np.memmap(file, dtype=np.uint8, mode="w+", shape=(size,))
    return torch.from_numpy(raw).view(features.dtype).view(shape)


def storage_for(size: int) -> Literal["memory", "disk", "nowhere"]:
    """Return the storage for ``size`` bytes of features."""
    if size <= MAX_MEMORY_BYTES:
        return "memory"
    folder = paths.cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    return "disk" if size <= MAX_DISK_FRACTION * shutil.disk_usage(folder).free else "nowhere"
