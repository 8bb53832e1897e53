"""Mixup and CutMix are functions of seed, epoch and image."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from studio.core.recipe import Data, Training
from studio.data.dataset.dataset import ImageDataset, build_index, dataset_for_split
from studio.data.loader import Batch, Loader
from studio.data.transforms.augmentation import Augmentation
from studio.data.transforms.mixup import MixupCutmix
from studio.data.transforms.preprocessing import Preprocessing

MakeImages = Callable[..., Path]
BOTH = MixupCutmix(mixup=0.4, cutmix=1.0)


@pytest.fixture
def dataset(tmp_path: Path, make_images: MakeImages) -> ImageDataset:
    make_images("a", 15), make_images("b", 10)
    return dataset_for_split(build_index(Data(path=str(tmp_path))), Preprocessing((16, 16)), "train")


def test_a_recipe_enables_mixing() -> None:
    assert MixupCutmix.from_training(Training()) is None
    assert MixupCutmix.from_training(Training(mixup=0.2)) == MixupCutmix(0.2, 0.0)
    assert MixupCutmix.from_training(Training(cutmix=1.0)) == MixupCutmix(0.0, 1.0)


def test_mixup_is_the_weighted_mean_and_a_cutmix_box_has_its_share() -> None:
    black, white = np.zeros((20, 30, 3), np.uint8), np.full((20, 30, 3), 255, np.uint8)
    shares = []
    for index in range(200):
        pixels, share = MixupCutmix(mixup=0.4).apply(black, white, 0, 0, index)
        assert np.ptp(pixels) == 0
        assert pixels.mean() == pytest.approx(255 * (1 - share), abs=0.5)
        assert 0.5 <= share <= 1
        pixels, share = MixupCutmix(cutmix=1.0).apply(black, white, 0, 0, index)
        assert set(np.unique(pixels)) <= {0, 255}
        assert (pixels == 0).mean() == pytest.approx(share)
        shares.append(share)
    assert np.mean(shares) == pytest.approx(0.75, abs=0.03)
    assert min(shares) < 0.55
    assert not black.any()
    assert white.all()


def test_mixup_and_cutmix_alternate() -> None:
    black, white = np.zeros((20, 30, 3), np.uint8), np.full((20, 30, 3), 255, np.uint8)
    pasted = sum(len(np.unique(BOTH.apply(black, white, 1, 0, index)[0])) == 2 for index in range(300))
    assert 110 < pasted < 190


def _loader(dataset: ImageDataset, share: tuple[int, int] = (0, 1), views: int = 0) -> Loader:
    augmentation = Augmentation(rotation=10, flip=0.5)
    return Loader(
        dataset,
        6,
        seed=3,
        shuffle=True,
        augmentation=augmentation,
        mixing=BOTH,
        num_views=views,
        threads=1,
        shard=share,
    )


def _images(batches: list[Batch]) -> dict[int, tuple[bytes, int, float]]:
    """Return pixels, the partner's class and the own share of each image."""
    found = {}
    for batch in batches:
        assert batch.mix_targets is not None
        assert batch.mix_lambdas is not None
        for index, pixels, other, share in zip(
            batch.indices.tolist(), batch.inputs, batch.mix_targets.tolist(), batch.mix_lambdas.tolist(), strict=True
        ):
            found[index] = (pixels.numpy().tobytes(), other, share)
    return found


def test_mixing_is_a_function_of_seed_epoch_and_image(dataset: ImageDataset) -> None:
    with _loader(dataset) as loader:
        whole, again, other = (_images(list(loader.batches(epoch))) for epoch in (1, 1, 2))
        late = _images(list(loader.batches(1, 2)))
    assert whole == again
    assert whole != other
    assert late.items() < whole.items()
    shared: dict[int, tuple[bytes, int, float]] = {}
    for number in range(2):
        with _loader(dataset, (number, 2)) as loader:
            shared |= _images(list(loader.batches(1)))
    assert shared == whole


def test_views_repeat(dataset: ImageDataset) -> None:
    with _loader(dataset, views=2) as loader:
        epochs = [_images(list(loader.batches(epoch))) for epoch in range(5)]
        orders = [torch.cat([batch.indices for batch in loader.batches(epoch)]).tolist() for epoch in range(3)]
    assert epochs[0] == epochs[2] == epochs[4] != epochs[1] == epochs[3]
    assert orders[0] != orders[2]


def test_an_image_with_an_unreadable_partner_stays_unmixed(dataset: ImageDataset) -> None:
    with _loader(dataset) as loader:
        order = torch.cat(list(loader.batch_indices(0)))
        dataset.path(int(order[0])).write_bytes(b"")
        batch = next(iter(loader.batches(0)))
    assert batch.indices.tolist() == order[1:6].tolist()
    assert batch.mix_lambdas is not None
    assert batch.mix_targets is not None
    assert batch.mix_lambdas[0] == 1
    assert batch.mix_targets[0] == batch.labels[0]
    assert (batch.mix_lambdas[1:] < 1).any()


def test_microbatches_make_up_the_batch(dataset: ImageDataset) -> None:
    with _loader(dataset) as loader:
        batch = next(iter(loader.batches(0)))
    parts = list(batch.microbatches(4))
    assert [len(part) for part in parts] == [2, 2, 2]
    assert _images(parts) == _images([batch])
    assert torch.equal(torch.cat([part.labels for part in parts]), batch.labels)
