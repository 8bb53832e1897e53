"""What a frozen prefix makes of each image, computed once and kept in memory, or in a file where that is too small.

The last digits of a product depend on which images are in a batch together. So that a resumed run has the same
features, an image's are always computed in the batch in which the first epoch shows it, also where a later epoch asks
for them first. Where a loader has several views of each image, each is an image of its own here, and the first epoch
that shows it is the view's.
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
from studio.training.feature_cache.disk_cache import CachedFeatures, CacheEntry

MAX_MEMORY_BYTES = 1 << 30
"""Features of a split that fit in this are kept in memory; larger ones in a file, which the system caches as it can."""
MAX_DISK_FRACTION = 0.5
"""That file takes no more than this share of the free disk; beyond it features are computed again in every epoch."""


class CachedFeatureLoader:
    """Batches of features in the order of a loader's images; ``prefix`` turns its inputs into features.

    They are taken from ``cache_entry``, where another run has left them, or left there when they are complete.
    """

    def __init__(
        self, loader: Loader, prefix: Callable[[Tensor], Tensor], cache_entry: CacheEntry | None = None
    ) -> None:
        self.dataset = loader.dataset
        self._loader, self._prefix = loader, prefix
        self._views, images = max(1, loader.num_views), len(self.dataset)
        self._groups = [view * images + places for view in range(self._views) for places in loader.batch_indices(view)]
        rows = self._views * images
        self._group_of = torch.full((rows,), -1)
        for number, places in enumerate(self._groups):
            self._group_of[places] = number
        self._computed = torch.zeros(len(self._groups), dtype=torch.bool)
        self._readable = torch.ones(rows, dtype=torch.bool)
        self._store: Tensor | None = None
        self._mix_targets, self._mix_lambdas = torch.zeros(rows, dtype=torch.int64), torch.ones(rows)
        self._has_storage = True
        self._cache_entry = cache_entry
        if cache_entry and (kept := cache_entry.read()):
            self._store, self._mix_targets, self._mix_lambdas = kept.features, kept.mix_targets, kept.mix_lambdas
            self._computed[:] = True

    def __len__(self) -> int:
        return len(self._loader)

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the one at ``start`` on."""
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
            yield from (self._gather(places, view) for places in self._batch_indices(epoch, start))

    def _view(self, epoch: int) -> int:
        return epoch % self._views

    def _in_order(self, epoch: int) -> bool:
        """Whether an epoch shows its view in the batches that its features are computed in."""
        return epoch < self._views or not self._loader.shuffle

    def _batch_indices(self, epoch: int, start: int) -> Iterator[Tensor]:
        """Of each batch the images that the loader's share of the view has: of others nothing is kept here."""
        owned = self._group_of.view(self._views, -1)[self._view(epoch)] >= 0
        return (places[owned[places]] for places in self._loader.global_batch_indices(epoch, start))

    def _run_prefix(self, batch: Batch) -> Batch:
        return replace(batch, inputs=self._prefix(batch.inputs)) if len(batch) else batch

    def _compute_group(self, number: int, batch: Batch) -> Batch:
        """Compute the features of one of the groups and keep them."""
        made, group = self._run_prefix(batch), self._groups[number]
        rows = made.indices + number // len(self._loader) * len(self.dataset)
        if len(made):
            if self._store is None and self._has_storage:
                self._store = _allocate(len(self._group_of), made.inputs)
                self._has_storage = self._store is not None
            if self._store is not None:
                self._store[rows] = made.inputs.cpu()
            if made.mix_targets is not None and made.mix_lambdas is not None:
                self._mix_targets[rows], self._mix_lambdas[rows] = made.mix_targets, made.mix_lambdas
        self._readable[group] = torch.isin(group, rows)
        self._computed[number] = True
        if self._cache_entry and self._store is not None and bool(self._computed.all() & self._readable.all()):
            self._cache_entry.write(CachedFeatures(self._store, self._mix_targets, self._mix_lambdas))
        return made

    def _gather(self, indices: Tensor, view: int) -> Batch:
        """Kept features; what is not kept yet is computed first."""
        unreadable: list[UnreadableImageError] = []
        first = view * len(self.dataset)
        for number in self._group_of[first + indices].unique().tolist():
            if not self._computed[number]:
                batch = self._loader.read_batch(view, number % len(self._loader))
                unreadable += self._compute_group(number, batch).unreadable
        kept = indices[self._readable[first + indices]]
        rows = first + kept
        features = self._store[rows] if self._store is not None else torch.empty(0)
        mixed = (self._mix_targets[rows], self._mix_lambdas[rows]) if self._loader.mixing else (None, None)
        return Batch(features, self.dataset.labels[kept], kept, tuple(unreadable), *mixed)


def _allocate(num_rows: int, features: Tensor) -> Tensor | None:
    """Room for the features of all images like ``features`` (batch, ...); None where neither memory nor disk has it."""
    shape = (num_rows, *features.shape[1:])
    size = num_rows * features[0].numel() * features.element_size()
    where = storage_for(size)
    if where == "memory":
        return torch.empty(shape, dtype=features.dtype)
    if where == "nowhere":
        return None
    folder = paths.cache_dir()
    # The file has no name, so that it is gone with the process, however that ends.
    with tempfile.TemporaryFile(dir=folder) as file:
        raw = np.memmap(file, dtype=np.uint8, mode="w+", shape=(size,))
    return torch.from_numpy(raw).view(features.dtype).view(shape)


def storage_for(size: int) -> Literal["memory", "disk", "nowhere"]:
    """Where ``size`` bytes of features are kept."""
    if size <= MAX_MEMORY_BYTES:
        return "memory"
    folder = paths.cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    return "disk" if size <= MAX_DISK_FRACTION * shutil.disk_usage(folder).free else "nowhere"
