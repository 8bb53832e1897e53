"""One split as a map-style dataset that decodes each image once if memory allows."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from studio.core.errors import StudioError
from studio.core.paths import resolve_path
from studio.core.recipe import Data
from studio.data.dataset.index import DatasetIndex, ImageFile, index_source
from studio.data.images.decode import read_image
from studio.data.images.file_index import SPLIT_NAMES, ProgressCallback, SplitName, no_progress
from studio.data.transforms.preprocessing import Pixels, Preprocessing

MAX_CACHE_BYTES = 1 << 30
"""Largest split, as resized 8-bit images, that is kept in memory."""


class ImageDataset:
    """Map-style dataset of (normalized image (3, height, width), label, path).

    An image that cannot be decoded raises UnreadableImageError; it is never replaced by another.
    """

    def __init__(
        self, root: Path, images: Sequence[ImageFile], classes: Sequence[str], preprocessing: Preprocessing
    ) -> None:
        self.root, self.images, self.classes = root, tuple(images), tuple(classes)
        self.preprocessing = preprocessing
        self._decoded = np.zeros(len(self.images), dtype=bool)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, Path]:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        pixels = torch.from_numpy(self.pixels(index))
        return self.preprocessing.normalize(pixels), self.images[index].label, self.path(index)

    def path(self, index: int) -> Path:
        """Return the path of an image."""
        return self.root / self.images[index].path

    def pixels(self, index: int) -> Pixels:
        """Return the resized, cropped 8-bit image (height, width, 3); do not write to it."""
        if self._cache is None:
            return self._decode(index)
        if not self._decoded[index]:
            self._cache[index] = self._decode(index)
            self._decoded[index] = True
        pixels: Pixels = self._cache[index]
        return pixels

    @cached_property
    def labels(self) -> torch.Tensor:
        """Class index of each image."""
        return torch.tensor([image.label for image in self.images], dtype=torch.int64)

    @cached_property
    def _cache(self) -> Pixels | None:
        """Memory for all images, None if too large; pages are allocated when filled."""
        shape = (len(self), *self.preprocessing.size, 3)
        return np.empty(shape, np.uint8) if np.prod(shape, dtype=np.int64) <= MAX_CACHE_BYTES else None

    def _decode(self, index: int) -> Pixels:
        return self.preprocessing.to_pixels(read_image(self.path(index), target_size=self.preprocessing.resize_size))


def build_index(data: Data, progress: ProgressCallback = no_progress) -> DatasetIndex:
    """List and split a recipe's images; opened only to keep near duplicates together."""
    if not data.path:
        raise StudioError(
            "no-data", "The recipe has no images. Choose a folder with a folder of images for each class."
        )
    return index_source(resolve_path(data.path), data, progress)


def dataset_for_split(index: DatasetIndex, preprocessing: Preprocessing, split: SplitName) -> ImageDataset:
    """Return one split of an index; StudioError if it has no images."""
    images = index.in_split(split)
    if not images:
        counts = {str(name): count for name, count in index.counts.items()}
        raise StudioError(
            "empty-split",
            "There are no {split} images in {name}: it has {train} for training, {validation} for validation and "
            "{test} for testing. Choose another split.",
            split=SPLIT_NAMES[split],
            name=index.display_name,
            **counts,
        )
    return ImageDataset(index.path, images, index.classes, preprocessing)
