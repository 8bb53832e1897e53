"""A run records the split of each image."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.core.errors import StudioError
from studio.core.recipe import Data
from studio.data.dataset import split_manifest
from studio.data.dataset.index import index_source

MakeImages = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, make_images: MakeImages) -> Path:
    make_images("images/a", 6), make_images("images/b", 6)
    return tmp_path / "images"


def test_round_trip(folder: Path, tmp_path: Path) -> None:
    summary = index_source(folder)
    split_manifest.write_split(summary, tmp_path)
    again = split_manifest.read_split(tmp_path)
    assert again is not None
    assert (again.path, again.classes) == (summary.path, summary.classes)
    assert all(again.in_split(split) == summary.in_split(split) for split in ("train", "validation", "test"))


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_not_unicode_is_kept(folder: Path, tmp_path: Path) -> None:
    os.rename(folder / "a" / "000.png", os.fsencode(folder / "a") + b"/caf\xe9.png")
    split_manifest.write_split(index_source(folder), tmp_path)
    again = split_manifest.read_split(tmp_path)
    assert again is not None
    assert all((again.path / image.path).exists() for image in again.images)


def test_the_recorded_split_is_used_after_the_folder_changed(
    folder: Path, tmp_path: Path, make_images: MakeImages
) -> None:
    data = Data(path=str(folder))
    assert len(split_manifest.images_of_run(tmp_path, data).images) == 12
    split_manifest.write_split(index_source(folder), tmp_path)
    make_images("images/a", 9)
    assert len(split_manifest.images_of_run(tmp_path, data).images) == 12
    (tmp_path / split_manifest.SPLIT_FILE).unlink()
    assert len(split_manifest.images_of_run(tmp_path, data).images) == 15


def test_moved_images_are_found_at_the_path_of_the_recipe(folder: Path, tmp_path: Path) -> None:
    split_manifest.write_split(index_source(folder), tmp_path)
    folder.rename(tmp_path / "moved")
    found = split_manifest.images_of_run(tmp_path, Data(path=str(tmp_path / "moved")))
    assert found.path == tmp_path / "moved"
    assert all((found.path / image.path).exists() for image in found.images)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"splits": 3}'])
def test_a_damaged_manifest_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / split_manifest.SPLIT_FILE).write_text(content)
    with pytest.raises(StudioError, match="is damaged"):
        split_manifest.read_split(tmp_path)
