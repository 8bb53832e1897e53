"""Batch loader: the order is a function of (seed, epoch), and threads prefetch.

Threads and not processes, because Pillow releases the interpreter lock while it decodes, and forking a process with a
window or other threads can deadlock. All randomness is a function of (seed, epoch, index), so the position of a loader
is two numbers, and it can start anywhere.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self

import numpy as np
import torch

from studio.data.dataset.dataset import ImageDataset
from studio.data.images.decode import UnreadableImageError
from studio.data.transforms.augmentation import Augmentation
from studio.data.transforms.mixup import MixupCutmix
from studio.data.transforms.preprocessing import Pixels

_PREFETCH_FACTOR = 2
"""Prefetched batches per thread."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs, class indices, and the images' indices in the dataset.

    The inputs are 8-bit images (N, height, width, 3), or features of the frozen prefix of a backbone. Images that could
    not be read are in ``unreadable`` instead; a batch may be empty. With mixup or CutMix, ``mix_targets`` are the
    classes of the second images and ``mix_lambdas`` the shares of the first ones.
    """

    inputs: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    unreadable: tuple[UnreadableImageError, ...] = ()
    mix_targets: torch.Tensor | None = None
    mix_lambdas: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def microbatches(self, count: int) -> Iterator["Batch"]:
        """Yield ``count`` parts of nearly equal size, fewer if there are fewer images."""
        parts = [None if t is None else t.chunk(count) for t in (self.inputs, self.labels, self.indices)]
        mixed = [t.chunk(count) if t is not None else [None] * count for t in (self.mix_targets, self.mix_lambdas)]
        for inputs, labels, indices, mix_targets, mix_lambdas in zip(*parts, *mixed, strict=False):
            yield Batch(inputs, labels, indices, (), mix_targets, mix_lambdas)


class BatchSource(Protocol):
    """Source of the batches of a dataset, an epoch at a time."""

    dataset: ImageDataset

    def __len__(self) -> int: ...

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from the one at ``start``."""
        ...


class Loader:
    """Batch reader; close it, or use it in a ``with`` statement, to end its threads.

    ``shard`` is (rank, world size): the part of each batch that this loader reads, which may be empty. ``num_views``
    repeats the random augmentation of that many first epochs; 0 draws anew in each. ``pin_memory`` puts inputs into
    page-locked memory, so that copies to a CUDA device overlap with its work. ``waited`` counts the seconds that a
    consumer waited for batches.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        augmentation: Augmentation | None = None,
        mixing: MixupCutmix | None = None,
        num_views: int = 0,
        threads: int | None = None,
        shard: tuple[int, int] = (0, 1),
        pin_memory: bool = False,
    ) -> None:
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.shuffle, self.augmentation, self.mixing = shuffle, augmentation, mixing
        self.num_views = num_views if self.is_random else 0
        self.shard, self._pin_memory = shard, pin_memory
        self._threads = threads or min(8, os.cpu_count() or 1)
        self.waited = 0.0
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="images")

    def __len__(self) -> int:
        """Return the number of batches in an epoch; the last one may be smaller."""
        return -(-len(self.dataset) // self.batch_size)

    @property
    def is_random(self) -> bool:
        """Whether images are augmented or mixed at random."""
        return self.augmentation is not None or self.mixing is not None

    def batch_indices(self, epoch: int = 0, start: int = 0) -> Iterator[torch.Tensor]:
        """Yield the dataset indices of this shard's part of each batch, from ``start``."""
        rank, world_size = self.shard
        return (indices[rank::world_size] for indices in self.global_batch_indices(epoch, start))

    def global_batch_indices(self, epoch: int = 0, start: int = 0) -> Iterator[torch.Tensor]:
        """:meth:`batch_indices` of whole batches, over all shards."""
        order = _epoch_order(len(self.dataset), self.seed, epoch) if self.shuffle else torch.arange(len(self.dataset))
        return (order[at : at + self.batch_size] for at in range(start * self.batch_size, len(order), self.batch_size))

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from the one at ``start``."""
        return self.read_batches(self.batch_indices(epoch, start), epoch)

    def read_batches(self, batch_indices: Iterable[torch.Tensor], epoch: int) -> Iterator[Batch]:
        """Yield batches of the images at ``batch_indices``, augmented as in ``epoch``."""
        view = epoch % self.num_views if self.num_views else epoch
        partners = self._mix_partners(view)
        return self._prefetch(partial(self._make_batch, indices, view, partners) for indices in batch_indices)

    def read_batch(self, epoch: int, number: int) -> Batch:
        """Return one batch of an epoch, without prefetching others."""
        return next(self.read_batches([next(self.batch_indices(epoch, number))], epoch))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prefetch(self, jobs: Iterable[Callable[[], Batch]]) -> Iterator[Batch]:
        waiting: deque[Future[Batch]] = deque()
        try:
            for job in jobs:
                waiting.append(self._pool.submit(job))
                if len(waiting) >= self._threads * _PREFETCH_FACTOR:
                    yield self._wait_for(waiting.popleft())
            while waiting:
                yield self._wait_for(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()

    def _wait_for(self, future: Future[Batch]) -> Batch:
        start = time.perf_counter()
        batch = future.result()
        self.waited += time.perf_counter() - start
        return batch

    def _make_batch(self, indices: torch.Tensor, view: int, partners: torch.Tensor | None) -> Batch:
        images: dict[int, Pixels] = {}
        unreadable = []
        for index in indices.tolist():
            try:
                images[index] = self._load_image(index, view)
            except UnreadableImageError as error:
                unreadable.append(error)
        readable = torch.tensor(list(images), dtype=torch.int64)
        labels = self.dataset.labels[readable]
        if self.mixing is None or partners is None:
            return Batch(self._stack(list(images.values())), labels, readable, tuple(unreadable))
        mixed, seconds, lambdas = self._mix_images(self.mixing, images, view, partners)
        mix_targets = self.dataset.labels[torch.tensor(seconds, dtype=torch.int64)]
        return Batch(self._stack(mixed), labels, readable, tuple(unreadable), mix_targets, torch.tensor(lambdas))

    def _load_image(self, index: int, view: int) -> Pixels:
        pixels = self.dataset.pixels(index)
        return pixels if self.augmentation is None else self.augmentation.apply(pixels, self.seed, view, index)

    def _mix_partners(self, view: int) -> torch.Tensor | None:
        """Return each image's partner: its neighbor in the global batch of epoch ``view``."""
        if self.mixing is None:
            return None
        partners = torch.arange(len(self.dataset))
        for indices in self.global_batch_indices(view):
            partners[indices] = indices.roll(1)
        return partners

    def _mix_images(
        self, mixing: MixupCutmix, images: dict[int, Pixels], view: int, partners: torch.Tensor
    ) -> tuple[list[Pixels], list[int], list[float]]:
        """Return mixed images, partners and shares; unmixed if the partner is unreadable."""
        mixed, seconds, lambdas = [], [], []
        for index, own in images.items():
            second = int(partners[index])
            try:
                other = images[second] if second in images else self._load_image(second, view)
                pixels, lam = mixing.apply(own, other, self.seed, view, index)
            except UnreadableImageError:
                pixels, second, lam = own, index, 1.0
            mixed.append(pixels)
            seconds.append(second)
            lambdas.append(lam)
        return mixed, seconds, lambdas

    def _stack(self, images: Sequence[Pixels]) -> torch.Tensor:
        shape = (len(images), *self.dataset.preprocessing.size, 3)
        inputs = torch.empty(shape, dtype=torch.uint8, pin_memory=self._pin_memory)
        if images:
            np.stack(images, out=inputs.numpy())
        return inputs


def _epoch_order(num_images: int, seed: int, epoch: int) -> torch.Tensor:
    mixed = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(mixed) & (1 << 63) - 1)
    return torch.randperm(num_images, generator=generator)
