"""One split as a map-style dataset, and the cache that decodes each image once."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from studio.core.errors import StudioError
from studio.core.paths import resolve_path
from studio.core.recipe import Data
from studio.data.dataset.index import DatasetIndex, ImageFile, index_source
from studio.data.images.decode import read_image
from studio.data.images.file_index import SPLITS, ProgressCallback, SplitName, no_progress
from studio.data.transforms.preprocessing import Pixels, Preprocessing

MAX_CACHE_BYTES = 1 << 30
"""A split whose resized images fit in this is kept in memory as 8-bit values."""


class ImageDataset(Dataset[tuple[torch.Tensor, int, Path]]):
    """Map-style dataset of (normalised image (3, height, width), label, path).

    Reading an image that cannot be decoded raises UnreadableImageError; it is never replaced by another.
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
        """Where the image is."""
        return self.root / self.images[index].path

    def pixels(self, index: int) -> Pixels:
        """The resized and cropped 8-bit image (height, width, 3); not to be written to."""
        if self._cache is None:
            return self._decode(index)
        if not self._decoded[index]:
            self._cache[index] = self._decode(index)
            self._decoded[index] = True
        kept: Pixels = self._cache[index]
        return kept

    @cached_property
    def labels(self) -> torch.Tensor:
        """The class index of every image."""
        return torch.tensor([image.label for image in self.images], dtype=torch.int64)

    @cached_property
    def _cache(self) -> Pixels | None:
        """Room for every image where that is not too much; its pages are only taken as they are filled."""
        shape = (len(self), *self.preprocessing.size, 3)
        return np.empty(shape, np.uint8) if np.prod(shape, dtype=np.int64) <= MAX_CACHE_BYTES else None

    def _decode(self, index: int) -> Pixels:
        return self.preprocessing.to_pixels(read_image(self.path(index), target_size=self.preprocessing.resize_size))


def open_split(data: Data, preprocessing: Preprocessing, split: SplitName = "validation") -> ImageDataset:
    """The images of one split of a recipe's data; StudioError where the split has none."""
    return dataset_for_split(build_index(data), preprocessing, split)


def build_index(data: Data, progress: ProgressCallback = no_progress) -> DatasetIndex:
    """List and divide the images of a recipe, without opening each of them where copies need not be found."""
    if not data.path:
        raise StudioError(
            "The recipe names no images; set data.path to a folder with a folder of images for each class."
        )
    return index_source(resolve_path(data.path), data, progress)


def dataset_for_split(index: DatasetIndex, preprocessing: Preprocessing, split: SplitName) -> ImageDataset:
    """One split of a scanned folder; StudioError where it has no images."""
    images = index.in_split(split)
    if not images:
        there = " and ".join(name for name in SPLITS if index.in_split(name))
        raise StudioError(f"There are no {split} images in {index.display_name}; it has {there} images only.")
    return ImageDataset(index.path, images, index.classes, preprocessing)
