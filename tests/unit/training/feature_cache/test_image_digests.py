"""Digests of images are known by size and time of change."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.data.images.image_metadata import read_all_metadata
from studio.training.feature_cache import image_digests as module
from studio.training.feature_cache.image_digests import image_digests


@pytest.fixture
def root(make_images: Callable[..., Path]) -> Path:
    make_images("images/a", 4)
    return make_images("images/b", 3).parent


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read."""
    names, true = [], module.sha256_file
    monkeypatch.setattr(module, "sha256_file", lambda path: names.append(path.name) or true(path))
    return names


def files(folder: Path, root: Path) -> list[Path]:
    return sorted(path.relative_to(root) for path in folder.glob("*.png"))


def test_digests_are_those_of_the_bytes_in_order(root: Path) -> None:
    images = files(root / "a", root)[::-1]
    expected = [hashlib.sha256((root / image).read_bytes()).hexdigest() for image in images]
    assert image_digests(root, images) == expected
    assert image_digests(root, images) == expected


def test_an_unchanged_image_is_read_once(root: Path, hashed: list[str]) -> None:
    first, second = files(root / "a", root), files(root / "b", root)
    before = image_digests(root, first), image_digests(root, second)
    assert len(hashed) == 7
    assert (image_digests(root, first), image_digests(root, second)) == before
    assert len(hashed) == 7
    os.utime(root / first[1], (1, 1))
    assert image_digests(root, first) == before[0]
    assert hashed[7:] == ["001.png"]
    (root / first[2]).write_bytes(b"other")
    assert image_digests(root, first)[2] == hashlib.sha256(b"other").hexdigest()


def test_a_check_of_the_data_spares_the_reading(root: Path, hashed: list[str]) -> None:
    images = files(root / "a", root)
    list(read_all_metadata(root, images))
    image_digests(root, images)
    assert hashed == []


def test_an_image_that_is_gone_is_an_error(root: Path) -> None:
    images = files(root / "a", root)
    (root / images[0]).unlink()
    with pytest.raises(FileNotFoundError):
        image_digests(root, images)
