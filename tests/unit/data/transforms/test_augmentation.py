"""Augmentation is a function of (seed, epoch, index)."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from studio.core.recipe import Transforms
from studio.data.transforms.augmentation import Augmentation, _border_color
from studio.data.transforms.augmentation_presets import MAGNITUDE_NAMES, PRESETS
from studio.data.transforms.preprocessing import Pixels


def _image(size: int = 32) -> Pixels:
    pixels = np.zeros((size, size, 3), np.uint8)
    pixels[size // 4 : size // 2, size // 3 : size // 2] = (250, 120, 60)
    return pixels


def _preset(name: str) -> Augmentation:
    preset = Augmentation.from_transforms(Transforms(augmentation=name))
    assert preset is not None
    return preset


def test_none_is_no_augmentation() -> None:
    assert Augmentation.from_transforms(Transforms()) is None
    assert Augmentation.from_transforms(Transforms(augmentation="custom")) is None


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "none"])
@pytest.mark.parametrize("size", [32, 96])
def test_same_seed_same_image_in_any_thread(name: str, size: int) -> None:
    augmentation, image = _preset(name), _image(size)
    alone = [augmentation.apply(image, 1, 2, index) for index in range(16)]
    torch.manual_seed(0)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda index: augmentation.apply(image, 1, 2, index), range(16)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    assert all(a.shape == image.shape and a.dtype == np.uint8 for a in alone)


@pytest.mark.parametrize("other", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_seed_epoch_and_index_each_matter(other: tuple[int, int, int]) -> None:
    augmentation = _preset("light")
    assert not np.array_equal(augmentation.apply(_image(), 0, 0, 0), augmentation.apply(_image(), *other))


def test_the_original_and_the_shared_generator_stay_unchanged() -> None:
    image, state = _image(), torch.get_rng_state()
    image.setflags(write=False)
    _preset("strong").apply(image, 0, 0, 0)
    assert np.array_equal(image, _image())
    assert torch.equal(torch.get_rng_state(), state)


def _every_operation(augmentation: Augmentation, pixels: Pixels, seed: int, epoch: int, index: int) -> Pixels:
    """Rotate and adjust colors also if that changes nothing; without erasing and flip."""
    rng = random.Random(f"{seed}/{epoch}/{index}")
    angle = rng.uniform(-augmentation.rotation, augmentation.rotation)
    image = Image.fromarray(pixels)
    shift = [round(rng.uniform(-augmentation.translation, augmentation.translation) * edge) for edge in image.size]
    scale = 1 + rng.uniform(-augmentation.scale, augmentation.scale)
    shear = rng.uniform(-augmentation.shear, augmentation.shear)
    image = functional.affine(
        image, angle, shift, scale, [shear, 0.0], InterpolationMode.BILINEAR, _border_color(pixels)
    )
    image = functional.adjust_brightness(image, 1 + rng.uniform(-augmentation.brightness, augmentation.brightness))
    image = functional.adjust_contrast(image, 1 + rng.uniform(-augmentation.contrast, augmentation.contrast))
    image = functional.adjust_saturation(image, 1 + rng.uniform(-augmentation.saturation, augmentation.saturation))
    return np.array(image)


@pytest.mark.parametrize("shape", [(1, 9), (31, 17), (224, 224)])
@pytest.mark.parametrize(
    "augmentation",
    [Augmentation(), Augmentation(rotation=9.0), Augmentation(translation=0.1), Augmentation(contrast=0.3)],
)
def test_skipped_operations_change_no_bit(augmentation: Augmentation, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for index in range(10):
        expected = _every_operation(augmentation, pixels, 1, 2, index)
        assert np.array_equal(augmentation.apply(pixels, 1, 2, index), expected)


def test_a_flip_alone_runs_no_other_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> Image.Image:
        raise AssertionError(args)

    for name in ("affine", "adjust_brightness", "adjust_contrast", "adjust_saturation"):
        monkeypatch.setattr(functional, name, fail)
    with pytest.raises(AssertionError):
        Augmentation(rotation=9.0).apply(_image(), 0, 0, 0)
    assert np.array_equal(Augmentation(flip=1.0).apply(_image(), 0, 0, 0), _image()[:, ::-1])


def test_no_amounts_change_nothing() -> None:
    assert np.array_equal(Augmentation().apply(_image(), 3, 4, 5), _image())


def test_pixels_from_outside_have_the_color_of_the_border() -> None:
    image = _image()
    image[image.sum(axis=2) == 0] = (10, 200, 30)
    moved = Augmentation(translation=0.4).apply(image, 0, 0, 0)
    assert (moved == (10, 200, 30)).all(axis=2).mean() > 0.9


def test_erasing_paints_the_mean_color() -> None:
    erased = Augmentation(erasing=1.0).apply(_image(), 0, 0, 0)
    mean = np.rint(_image().mean(axis=(0, 1)))
    assert 0.03 < (erased == mean).all(axis=2).mean() < 0.17


def test_custom_and_preset_magnitudes() -> None:
    own = Augmentation.from_transforms(Transforms(augmentation="custom", rotation=30.0, flip=0.5))
    assert own == Augmentation(rotation=30.0, flip=0.5)
    light = Augmentation.from_transforms(Transforms(augmentation="light", rotation=30.0))
    assert light == Augmentation(**PRESETS["light"])


def test_a_recipe_and_the_augmentation_use_the_same_names() -> None:
    assert tuple(field.name for field in fields(Augmentation)) == MAGNITUDE_NAMES


def test_flipping_swaps_left_and_right_at_the_given_rate() -> None:
    image = _image()
    flipped = [np.array_equal(Augmentation(flip=0.5).apply(image, 0, 0, i), image[:, ::-1]) for i in range(200)]
    assert 60 < sum(flipped) < 140
    assert np.array_equal(Augmentation(flip=1.0).apply(image, 0, 0, 0), image[:, ::-1])
