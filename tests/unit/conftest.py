"""A folder of small images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeImages = Callable[..., Path]


@pytest.fixture
def make_images(tmp_path: Path) -> MakeImages:
    """Make ``count`` images in a folder below ``tmp_path``; the folder's name decides their brightness."""

    def make(folder: str, count: int, size: int = 24) -> Path:
        target = tmp_path / folder
        target.mkdir(parents=True, exist_ok=True)
        draw = np.random.default_rng(sum(folder.encode()))
        for number in range(count):
            pixels = draw.integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(target / f"{number:03}.png")
        return target

    return make
