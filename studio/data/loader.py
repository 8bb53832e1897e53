"""Batches in an order that is a function of (seed, epoch), read ahead by threads.

Threads and not processes: Pillow lets go of the interpreter lock while it decodes, and forking a process that has a
window or other threads can freeze it. As nothing is random but what (seed, epoch, index) decides, a loader's position
is two numbers, and it can start anywhere.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self

import numpy as np
import torch

from studio.data.augmentation import Augmentation
from studio.data.dataset import ImageDataset
from studio.data.images import UnreadableImageError
from studio.data.preprocessing import Pixels

_AHEAD = 2
"""Batches read ahead for each thread."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs, class indices, and the images' places in the dataset.

    The inputs are 8-bit images (batch, height, width, 3), or what the frozen part of a backbone made of them.
    Images that could not be read are not in it but in ``unreadable``; it may be empty.
    """

    inputs: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    unreadable: tuple[UnreadableImageError, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


class Source(Protocol):
    """Anything that gives batches of a dataset, an epoch at a time."""

    dataset: ImageDataset

    def __len__(self) -> int: ...

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the one at ``start`` on."""
        ...


class Loader:
    """Reads a dataset in batches. Close it, or use it in a ``with`` statement, to end its threads.

    ``share`` is (number, of): which of several equal parts of each batch this loader gives; some may be empty.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        augmentation: Augmentation | None = None,
        threads: int | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.shuffle, self.augmentation = shuffle, augmentation
        self._share = share
        self._threads = threads or min(8, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="images")

    def __len__(self) -> int:
        """Batches in an epoch; the last one may be smaller."""
        return -(-len(self.dataset) // self.batch_size)

    def places(self, epoch: int = 0, start: int = 0) -> Iterator[torch.Tensor]:
        """The images' places in the dataset, batch by batch in an epoch's order, from the batch at ``start`` on."""
        number, of = self._share
        return (places[number::of] for places in self.shared_places(epoch, start))

    def shared_places(self, epoch: int = 0, start: int = 0) -> Iterator[torch.Tensor]:
        """:meth:`places` of whole batches, of which this loader may give a share."""
        order = _order(len(self.dataset), self.seed, epoch) if self.shuffle else torch.arange(len(self.dataset))
        return (order[at : at + self.batch_size] for at in range(start * self.batch_size, len(order), self.batch_size))

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the one at ``start`` on."""
        return self.read(self.places(epoch, start), epoch)

    def read(self, places: Iterable[torch.Tensor], epoch: int) -> Iterator[Batch]:
        """Batches of the images at ``places``, as they are in an epoch."""
        return self._ahead(partial(self._make, some, epoch) for some in places)

    def batch(self, epoch: int, number: int) -> Batch:
        """One batch of an epoch, read here and now."""
        return self._make(next(self.places(epoch, number)), epoch)

    def close(self) -> None:
        """End the reading threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ahead(self, jobs: Iterable[Callable[[], Batch]]) -> Iterator[Batch]:
        waiting: deque[Future[Batch]] = deque()
        try:
            for job in jobs:
                waiting.append(self._pool.submit(job))
                if len(waiting) >= self._threads * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _make(self, indices: torch.Tensor, epoch: int) -> Batch:
        images, kept, unreadable = [], [], []
        for index in indices.tolist():
            try:
                images.append(self._image(index, epoch))
                kept.append(index)
            except UnreadableImageError as error:
                unreadable.append(error)
        places = torch.tensor(kept, dtype=torch.int64)
        return Batch(self._stack(images), self.dataset.labels[places], places, tuple(unreadable))

    def _image(self, index: int, epoch: int) -> Pixels:
        pixels = self.dataset.pixels(index)
        return pixels if self.augmentation is None else self.augmentation.apply(pixels, self.seed, epoch, index)

    def _stack(self, images: Sequence[Pixels]) -> torch.Tensor:
        if not images:
            return torch.empty((0, *self.dataset.preprocessing.size, 3), dtype=torch.uint8)
        return torch.from_numpy(np.stack(images))


def _order(images: int, seed: int, epoch: int) -> torch.Tensor:
    mixed = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(mixed) & (1 << 63) - 1)
    return torch.randperm(images, generator=generator)
