"""Batches in an order that is a function of (seed, epoch), read ahead by threads.

Threads and not processes: Pillow lets go of the interpreter lock while it decodes, and forking a process that has a
window or other threads can freeze it. As nothing is random but what (seed, epoch, index) decides, a loader's position
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
"""Batches read ahead for each thread."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs, class indices, and the images' places in the dataset.

    The inputs are 8-bit images (batch, height, width, 3), or what the frozen part of a backbone made of them.
    Images that could not be read are not in it but in ``unreadable``; it may be empty. Where images are made of two,
    ``mix_targets`` are the classes of the second ones and ``mix_lambdas`` what the first ones have of the whole.
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
        """The batch in ``count`` parts of nearly equal size, fewer where there are fewer images."""
        cut = [None if t is None else t.chunk(count) for t in (self.inputs, self.labels, self.indices)]
        mixed = [t.chunk(count) if t is not None else [None] * count for t in (self.mix_targets, self.mix_lambdas)]
        for inputs, labels, indices, others, shares in zip(*cut, *mixed, strict=False):
            yield Batch(inputs, labels, indices, (), others, shares)


class BatchSource(Protocol):
    """Anything that gives batches of a dataset, an epoch at a time."""

    dataset: ImageDataset

    def __len__(self) -> int: ...

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the one at ``start`` on."""
        ...


class Loader:
    """Reads a dataset in batches. Close it, or use it in a ``with`` statement, to end its threads.

    ``shard`` is (number, of): which of several equal parts of each batch this loader gives; some may be empty.
    ``waited`` counts the seconds in which batches were asked for and not ready yet.
    With ``num_views`` random changes are those of the first so many epochs, again and again.
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
    ) -> None:
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.shuffle, self.augmentation, self.mixing = shuffle, augmentation, mixing
        self.num_views = num_views if self.is_random else 0
        self.shard = shard
        self._threads = threads or min(8, os.cpu_count() or 1)
        self.waited = 0.0
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="images")

    def __len__(self) -> int:
        """Batches in an epoch; the last one may be smaller."""
        return -(-len(self.dataset) // self.batch_size)

    @property
    def is_random(self) -> bool:
        """Whether images are changed at random."""
        return self.augmentation is not None or self.mixing is not None

    def batch_indices(self, epoch: int = 0, start: int = 0) -> Iterator[torch.Tensor]:
        """The images' places in the dataset, batch by batch in an epoch's order, from the batch at ``start`` on."""
        number, of = self.shard
        return (places[number::of] for places in self.global_batch_indices(epoch, start))

    def global_batch_indices(self, epoch: int = 0, start: int = 0) -> Iterator[torch.Tensor]:
        """:meth:`batch_indices` of whole batches, of which this loader may give a share."""
        order = _epoch_order(len(self.dataset), self.seed, epoch) if self.shuffle else torch.arange(len(self.dataset))
        return (order[at : at + self.batch_size] for at in range(start * self.batch_size, len(order), self.batch_size))

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the one at ``start`` on."""
        return self.read_batches(self.batch_indices(epoch, start), epoch)

    def read_batches(self, batch_indices: Iterable[torch.Tensor], epoch: int) -> Iterator[Batch]:
        """Batches of the images at ``batch_indices``, as they are in an epoch."""
        view = epoch % self.num_views if self.num_views else epoch
        mates = self._mix_partners(view)
        return self._prefetch(partial(self._make_batch, some, view, mates) for some in batch_indices)

    def read_batch(self, epoch: int, number: int) -> Batch:
        """One batch of an epoch, read here and now."""
        return next(self.read_batches([next(self.batch_indices(epoch, number))], epoch))

    def close(self) -> None:
        """End the reading threads."""
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
        begun = time.perf_counter()
        made = future.result()
        self.waited += time.perf_counter() - begun
        return made

    def _make_batch(self, indices: torch.Tensor, view: int, partners: torch.Tensor | None) -> Batch:
        images: dict[int, Pixels] = {}
        unreadable = []
        for index in indices.tolist():
            try:
                images[index] = self._load_image(index, view)
            except UnreadableImageError as error:
                unreadable.append(error)
        places = torch.tensor(list(images), dtype=torch.int64)
        labels = self.dataset.labels[places]
        if self.mixing is None or partners is None:
            return Batch(self._stack(list(images.values())), labels, places, tuple(unreadable))
        mixed, seconds, shares = self._mix_images(self.mixing, images, view, partners)
        others = self.dataset.labels[torch.tensor(seconds, dtype=torch.int64)]
        return Batch(self._stack(mixed), labels, places, tuple(unreadable), others, torch.tensor(shares))

    def _load_image(self, index: int, view: int) -> Pixels:
        pixels = self.dataset.pixels(index)
        return pixels if self.augmentation is None else self.augmentation.apply(pixels, self.seed, view, index)

    def _mix_partners(self, view: int) -> torch.Tensor | None:
        """For each image the one that it is mixed with: its neighbour in the whole batch of the view's own epoch."""
        if self.mixing is None:
            return None
        mates = torch.arange(len(self.dataset))
        for places in self.global_batch_indices(view):
            mates[places] = places.roll(1)
        return mates

    def _mix_images(
        self, mixing: MixupCutmix, images: dict[int, Pixels], view: int, partners: torch.Tensor
    ) -> tuple[list[Pixels], list[int], list[float]]:
        """Each image with another, which that is, and the first one's share; alone where the other cannot be read."""
        mixed, seconds, shares = [], [], []
        for index, own in images.items():
            second = int(partners[index])
            try:
                other = images[second] if second in images else self._load_image(second, view)
                pixels, share = mixing.apply(own, other, self.seed, view, index)
            except UnreadableImageError:
                pixels, second, share = own, index, 1.0
            mixed.append(pixels)
            seconds.append(second)
            shares.append(share)
        return mixed, seconds, shares

    def _stack(self, images: Sequence[Pixels]) -> torch.Tensor:
        if not images:
            return torch.empty((0, *self.dataset.preprocessing.size, 3), dtype=torch.uint8)
        return torch.from_numpy(np.stack(images))


def _epoch_order(num_images: int, seed: int, epoch: int) -> torch.Tensor:
    mixed = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(mixed) & (1 << 63) - 1)
    return torch.randperm(num_images, generator=generator)
