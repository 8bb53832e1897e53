"""What a frozen prefix makes of each image, computed once and kept in memory, or in a file where that is too small.

The last digits of a product depend on which images are in a batch together. So that a resumed run has the same
features, an image's are always computed in the batch in which the first epoch shows it, also where a later epoch asks
for them first.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from studio.core import paths
from studio.data.images import UnreadableImageError
from studio.data.loader import Batch, Loader

MEMORY_BYTES = 1 << 30
"""Features of a split that fit in this are kept in memory; larger ones in a file, which the system caches as it can."""
DISK_SHARE = 0.5
"""That file takes no more than this share of the free disk; beyond it features are computed again in every epoch."""


class FeatureSource:
    """Batches of features in the order of a loader's images; ``prefix`` turns its inputs into features."""

    def __init__(self, loader: Loader, prefix: Callable[[Tensor], Tensor]) -> None:
        self.dataset = loader.dataset
        self._loader, self._prefix = loader, prefix
        self._groups = list(loader.places(0))
        self._group_of = torch.full((len(self.dataset),), -1)
        for number, places in enumerate(self._groups):
            self._group_of[places] = number
        self._known = torch.zeros(len(self._groups), dtype=torch.bool)
        self._readable = torch.ones(len(self.dataset), dtype=torch.bool)
        self._store: Tensor | None = None
        self._fits = True

    def __len__(self) -> int:
        return len(self._loader)

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the one at ``start`` on."""
        in_order = epoch == 0 or not self._loader.shuffle
        if not self._fits:
            yield from (self._through(batch) for batch in self._loader.read(self._places(epoch, start), epoch))
        elif in_order and not self._known[start:].all():
            for number, batch in enumerate(self._loader.batches(0, start), start):
                yield self._learn(number, batch)
        else:
            yield from (self._gather(places) for places in self._places(epoch, start))

    def _places(self, epoch: int, start: int) -> Iterator[Tensor]:
        """Of each batch the images that the loader's share of the first epoch has: of others nothing is kept here."""
        return (places[self._group_of[places] >= 0] for places in self._loader.shared_places(epoch, start))

    def _through(self, batch: Batch) -> Batch:
        inputs = self._prefix(batch.inputs) if len(batch) else batch.inputs
        return Batch(inputs, batch.labels, batch.indices, batch.unreadable)

    def _learn(self, number: int, batch: Batch) -> Batch:
        """Compute the features of a batch of the first epoch and keep them."""
        made = self._through(batch)
        if len(made):
            if self._store is None and self._fits:
                self._store = _room(len(self.dataset), made.inputs)
                self._fits = self._store is not None
            if self._store is not None:
                self._store[made.indices] = made.inputs.cpu()
        self._readable[self._groups[number]] = torch.isin(self._groups[number], made.indices)
        self._known[number] = True
        return made

    def _gather(self, places: Tensor) -> Batch:
        """Kept features; what is not kept yet is computed first."""
        unreadable: list[UnreadableImageError] = []
        for number in self._group_of[places].unique().tolist():
            if not self._known[number]:
                unreadable += self._learn(number, self._loader.batch(0, number)).unreadable
        kept = places[self._readable[places]]
        features = self._store[kept] if self._store is not None else torch.empty(0)
        return Batch(features, self.dataset.labels[kept], kept, tuple(unreadable))


def _room(images: int, features: Tensor) -> Tensor | None:
    """Room for the features of all images like ``features`` (batch, ...); None where neither memory nor disk has it."""
    shape = (images, *features.shape[1:])
    size = images * features[0].numel() * features.element_size()
    if size <= MEMORY_BYTES:
        return torch.empty(shape, dtype=features.dtype)
    folder = paths.cache()
    folder.mkdir(parents=True, exist_ok=True)
    if size > DISK_SHARE * shutil.disk_usage(folder).free:
        return None
    # The file has no name, so that it is gone with the process, however that ends.
    with tempfile.TemporaryFile(dir=folder) as file:
        raw = np.memmap(file, dtype=np.uint8, mode="w+", shape=(size,))
    return torch.from_numpy(raw).view(features.dtype).view(shape)
