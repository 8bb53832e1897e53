"""The transform is timm's evaluation transform, pixel for pixel."""

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.transforms_factory import transforms_imagenet_eval

from studio.data.transforms.preprocessing import Preprocessing


def _photo(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
@pytest.mark.parametrize(("width", "height"), [(57, 91), (91, 57), (32, 32), (17, 9), (2, 64), (36, 37)])
@pytest.mark.parametrize(("interpolation", "crop_pct"), [("bicubic", 0.9), ("bilinear", 1.0), ("lanczos", 0.875)])
def test_equal_to_timm(
    mode: str, size: tuple[int, int], width: int, height: int, interpolation: str, crop_pct: float
) -> None:
    ours = Preprocessing(size, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), interpolation, crop_pct, mode)  # type: ignore[arg-type]
    theirs = transforms_imagenet_eval(size, crop_pct, mode, None, interpolation, ours.mean, ours.std)
    image = _photo(width, height)
    expected = theirs(image)
    assert expected.shape == (3, *size)
    assert torch.equal(ours(image), expected)


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_a_thin_image_is_resized_too(mode: str) -> None:
    preprocessing = Preprocessing((32, 32), crop_mode=mode)  # type: ignore[arg-type]
    assert preprocessing(_photo(1, 500)).shape == preprocessing(_photo(500, 1)).shape == (3, 32, 32)


def test_a_batch_is_normalized_like_its_images() -> None:
    preprocessing = Preprocessing((16, 16))
    images = [_photo(20, 30), _photo(30, 20)]
    batch = torch.from_numpy(np.stack([preprocessing.to_pixels(image) for image in images]))
    normalized = preprocessing.normalize(batch)
    assert normalized.is_contiguous()
    assert torch.equal(normalized, torch.stack([preprocessing(image) for image in images]))


def test_normalize_keeps_the_pixels() -> None:
    pixels = torch.full((4, 4, 3), 7, dtype=torch.uint8)
    Preprocessing((4, 4)).normalize(pixels)
    assert (pixels == 7).all()


def test_json_round_trip() -> None:
    preprocessing = Preprocessing((32, 48), (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), "bilinear", 0.95, "squash")
    assert Preprocessing.from_json(preprocessing.as_json()) == preprocessing
