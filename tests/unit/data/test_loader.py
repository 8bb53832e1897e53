"""Datasets and the order and content of batches."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from studio.core.errors import StudioError
from studio.core.recipe import Data, Transforms
from studio.data.dataset import dataset as dataset_module
from studio.data.dataset.dataset import ImageDataset, build_index, dataset_for_split
from studio.data.images.decode import UnreadableImageError
from studio.data.loader import Batch, Loader
from studio.data.transforms.augmentation import Augmentation
from studio.data.transforms.preprocessing import Preprocessing

MakeImages = Callable[..., Path]

PREPROCESSING = Preprocessing((16, 16))


@pytest.fixture
def dataset(tmp_path: Path, make_images: MakeImages) -> ImageDataset:
    make_images("a", 15), make_images("b", 10)
    return dataset_for_split(build_index(Data(path=str(tmp_path))), PREPROCESSING, "train")


def _same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a.inputs, b.inputs) and torch.equal(a.labels, b.labels) and torch.equal(a.indices, b.indices)
        for a, b in zip(first, second, strict=True)
    )


def test_a_split_gives_tensor_label_and_path(dataset: ImageDataset, tmp_path: Path) -> None:
    tensor, label, path = dataset[0]
    assert len(dataset) == 20
    assert tensor.shape == (3, 16, 16)
    assert (label, path.parent) == (0, tmp_path / "a")
    assert len(list(dataset)) == 20


def test_a_split_without_images_is_refused(tmp_path: Path, dataset: ImageDataset) -> None:
    with pytest.raises(
        StudioError, match=r"no test images in .*: it has 20 for training, 5 for validation and 0 for testing"
    ):
        dataset_for_split(build_index(Data(path=str(tmp_path))), PREPROCESSING, "test")
    with pytest.raises(StudioError, match="The recipe has no images"):
        dataset_for_split(build_index(Data()), PREPROCESSING)


def test_an_image_is_decoded_once(dataset: ImageDataset) -> None:
    first = dataset[3][0]
    dataset.path(3).unlink()
    assert torch.equal(dataset[3][0], first)


def test_a_large_split_is_not_kept_in_memory(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_module, "MAX_CACHE_BYTES", 20 * 16 * 16 * 3 - 1)
    first = dataset[3][0]
    assert torch.equal(dataset[3][0], first)
    dataset.path(3).unlink()
    with pytest.raises(UnreadableImageError):
        dataset[3]


def test_each_epoch_has_every_image_once_in_its_own_order(dataset: ImageDataset) -> None:
    with Loader(dataset, 6, seed=3, shuffle=True) as loader:
        epochs = [torch.cat([batch.indices for batch in loader.batches(epoch)]) for epoch in range(2)]
        assert len(loader) == 4
        assert [len(batch) for batch in loader.batches(0)] == [6, 6, 6, 2]
    assert all(order.sort().values.tolist() == list(range(20)) for order in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()


@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_a_loader_can_start_anywhere(dataset: ImageDataset, start: int) -> None:
    light = Augmentation.from_transforms(Transforms(augmentation="light"))
    with Loader(dataset, 6, shuffle=True, augmentation=light, threads=1) as one:
        whole = list(one.batches(5))
    with Loader(dataset, 6, shuffle=True, augmentation=light, threads=4) as other:
        assert _same(list(other.batches(5, start)), whole[start:])


def test_batches_hold_the_pixels_and_labels_of_their_images(dataset: ImageDataset) -> None:
    with Loader(dataset, 7, shuffle=True) as loader:
        batch = next(loader.batches())
    for row, index in enumerate(batch.indices.tolist()):
        tensor, label, _ = dataset[index]
        assert torch.equal(PREPROCESSING.normalize(batch.inputs[row]), tensor)
        assert batch.labels[row] == label


def test_an_unreadable_image_is_skipped_and_named(dataset: ImageDataset) -> None:
    bad = [dataset.path(index) for index in (0, 1, 7)]
    for path in bad:
        path.write_bytes(b"")
    with Loader(dataset, 2) as loader:
        batches = list(loader.batches())
    assert [error.path for batch in batches for error in batch.unreadable] == bad
    assert len(batches) == 10
    assert batches[0].inputs.shape == (0, 16, 16, 3)
    assert torch.cat([batch.indices for batch in batches]).tolist() == [i for i in range(20) if i not in (0, 1, 7)]


@pytest.mark.parametrize("pin_memory", [False, True])
def test_batches_are_pinned_in_the_threads_that_read_them(
    dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch, pin_memory: bool
) -> None:
    allocated: list[tuple[bool, str]] = []
    empty = torch.empty

    def record(*args: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        allocated.append((pin_memory, threading.current_thread().name.split("_")[0]))
        return empty(*args, **options)

    monkeypatch.setattr(torch, "empty", record)
    with Loader(dataset, 8, pin_memory=pin_memory) as loader:
        inputs = torch.cat([batch.inputs for batch in loader.batches()])
    assert allocated == [(pin_memory, "images")] * 3
    assert np.array_equal(inputs.numpy(), np.stack([dataset.pixels(index) for index in range(len(dataset))]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="page-locked memory needs CUDA")
def test_a_pinned_batch_is_page_locked(dataset: ImageDataset) -> None:
    with Loader(dataset, 8, pin_memory=True) as loader:
        assert all(batch.inputs.is_pinned() for batch in loader.batches())
