"""Time of a check of a folder of images: the first one, and later ones."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from studio.core.recipe import Data
from studio.data.checks import SourceScan, check, check_scan, scan_source
from tests.benchmarks.harness import benchmark

IMAGES, CLASSES = 10_000, 10


@cache
def folder() -> tempfile.TemporaryDirectory[str]:
    """Return ten classes of 1,000 photograph-like JPEG and PNG images of 64 x 64 pixels; deleted with the process."""
    temporary = tempfile.TemporaryDirectory()
    draw = np.random.default_rng(0)
    for number in range(IMAGES):
        target = Path(temporary.name) / f"class{number % CLASSES}"
        target.mkdir(exist_ok=True)
        coarse = Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        suffix = "jpg" if number % 2 else "png"
        coarse.resize((64, 64), Image.Resampling.BICUBIC).save(target / f"{number:05}.{suffix}")
    return temporary


@contextmanager
def empty_cache() -> Iterator[Path]:
    """Yield the folder of images, with an empty cache."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["PEFT_STUDIO_HOME"] = home
        yield Path(folder().name)


@benchmark("First check of 10,000 small images", "seconds", at_most=30)
def first_check() -> float:
    with empty_cache() as images:
        start = time.perf_counter()
        assert len(check(images).images) == IMAGES
        return time.perf_counter() - start


@benchmark("Check of 10,000 small images again", "seconds", at_most=5)
def second_check() -> float:
    with empty_cache() as images:
        check(images)
        start = time.perf_counter()
        check(images)
        return time.perf_counter() - start


@benchmark("Issues of 10,000 images after an override", "seconds", at_most=1)
def check_again() -> float:
    with empty_cache() as images:
        scan: SourceScan = scan_source(images)
        data = Data(excluded=("class0/00000.png",))
        start = time.perf_counter()
        check_scan(scan, data)
        return time.perf_counter() - start
