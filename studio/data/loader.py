"""Batches in an order that is a function of (seed, epoch), read ahead by threads.

Threads and not processes: Pillow lets go of the interpreter lock while it decodes, and forking a process that has a
window or other threads can freeze it. As nothing is random but what (seed, epoch, index) decides, a loader's position is
two numbers, and it can start anywhere.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import torch

from studio.data.augmentation import Augmentation
from studio.data.dataset import ImageDataset
from studio.data.images import UnreadableImage
from studio.data.preprocessing import Pixels

_AHEAD = 2
"""Batches read ahead for each thread."""


@dataclass(frozen=True, slots=True)
class Batch:
    """8-bit images (batch, height, width, 3), class indices, and the images' places in the dataset.

    Images that could not be read are not in it but in ``unreadable``; it may be empty.
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    unreadable: tuple[UnreadableImage, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


class Loader:
    """Reads a dataset in batches. Close it, or use it in a ``with`` statement, to end its threads."""

    def __init__(
        self,
        dataset: ImageDataset,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        augmentation: Augmentation | None = None,
        threads: int | None = None,
    ) -> None:
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.shuffle, self.augmentation = shuffle, augmentation
        self._threads = threads or min(8, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="images")

    def __len__(self) -> int:
        """Batches in an epoch; the last one may be smaller."""
        return -(-len(self.dataset) // self.batch_size)

    def order(self, epoch: int) -> torch.Tensor:
        """The places of all images in the order in which an epoch shows them."""
        if not self.shuffle:
            return torch.arange(len(self.dataset))
        mixed = np.random.SeedSequence((self.seed, epoch)).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(mixed) & (1 << 63) - 1)
        return torch.randperm(len(self.dataset), generator=generator)

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the one at ``start`` on."""
        order = self.order(epoch)
        parts = (order[at : at + self.batch_size] for at in range(start * self.batch_size, len(order), self.batch_size))
        return self._ahead(partial(self._make, part, epoch) for part in parts)

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
            except UnreadableImage as error:
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
