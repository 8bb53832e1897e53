"""The index of a folder."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.core.errors import StudioError
from studio.core.recipe import Data, Split
from studio.data.checks import check
from studio.data.dataset.index import DatasetIndex, index_source

MakeImages = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("own_cache")


def _texts(summary: DatasetIndex) -> list[str]:
    return [issue.text for issue in summary.issues]


def test_a_folder_per_class_in_natural_order(tmp_path: Path, make_images: MakeImages) -> None:
    for name in ("class10", "class2", "class1"):
        make_images(name, 10)
    summary = index_source(tmp_path)
    assert summary.classes == ("class1", "class2", "class10")
    assert summary.class_counts == (10, 10, 10)
    assert summary.counts == {"train": 24, "validation": 6, "test": 0}
    assert not summary.issues


def test_images_deeper_in_a_class_belong_to_it(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("cat/indoors", 3)
    make_images("cat/outdoors", 3)
    make_images("dog", 4)
    assert index_source(tmp_path).class_counts == (6, 4)


def test_folders_inside_a_class_stay_in_one_split_on_request(tmp_path: Path, make_images: MakeImages) -> None:
    for name in ("cat", "dog"):
        for visit in range(5):
            make_images(f"{name}/visit{visit}", 4)
    make_images("dog", 3), make_images("bird", 10)
    for seed in range(5):
        together = index_source(tmp_path, Data(split=Split(group="folder", seed=seed)))
        sides = {(image.path.parent, image.split) for image in together.images if "visit" in image.path.parent.name}
        assert len(sides) == 10
        assert together.counts["validation"] >= 4 + 4 + 2
    apart = {(image.path.parent, image.split) for image in index_source(tmp_path).images}
    assert len(apart) > 12


def test_hidden_and_system_files_are_ignored(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("a", 3), make_images("b", 3)
    make_images(".ipynb_checkpoints", 1), make_images("__MACOSX", 1), make_images("a/.thumbnails", 1)
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "a" / "._000.png").write_bytes(b"x")
    (tmp_path / "LICENSE.md").write_text("free")
    summary = index_source(tmp_path)
    assert summary.classes == ("a", "b")
    assert len(summary.images) == 6
    assert not summary.issues


def test_ready_made_splits_are_kept(tmp_path: Path, make_images: MakeImages) -> None:
    for split, count in (("train", 5), ("val", 2), ("test", 3)):
        make_images(f"{split}/a", count), make_images(f"{split}/b", count)
    summary = index_source(tmp_path, Data(split=Split(validation=0.5)))
    assert summary.classes == ("a", "b")
    assert summary.counts == {"train": 10, "validation": 4, "test": 6}


def test_validation_is_split_from_training_if_missing(tmp_path: Path, make_images: MakeImages) -> None:
    for split in ("Train", "Test"):
        make_images(f"{split}/a", 10), make_images(f"{split}/b", 10)
    assert index_source(tmp_path).counts == {"train": 16, "validation": 4, "test": 20}


def test_a_class_may_be_called_train(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("train", 5), make_images("bus", 5)
    assert index_source(tmp_path).classes == ("bus", "train")
    make_images("test", 5)
    assert index_source(tmp_path).classes == ("bus", "test", "train")


def test_the_split_does_not_depend_on_readability(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("a", 20), make_images("b", 20)
    before = {image.path: image.split for image in index_source(tmp_path).images}
    (tmp_path / "a" / "003.png").write_bytes(b"")
    after = {image.path: image.split for image in check(tmp_path).images}
    assert len(after) == 39
    assert after.items() <= before.items()


def test_a_class_without_a_readable_image_keeps_its_number(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("a", 1), make_images("b", 4), make_images("c", 4)
    (tmp_path / "a" / "000.png").write_bytes(b"")
    summary = check(tmp_path)
    assert summary.classes == index_source(tmp_path).classes == ("a", "b", "c")
    assert "The class a has no training images." in _texts(summary)


def test_files_that_are_no_images_or_in_no_class_are_issues(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("a", 2), make_images("b", 1), make_images(".", 3)
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    assert _texts(index_source(tmp_path)) == [
        "The folder empty has no images and is ignored.",
        "3 images are in no class folder and are ignored.",
        "1 file is not an image and is ignored.",
        "The class b has only one image, so it cannot be validated.",
    ]


def test_a_loop_of_links_ends(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("a", 2), make_images("b", 2)
    os.symlink(tmp_path, tmp_path / "a" / "loop", target_is_directory=True)
    assert len(index_source(tmp_path).images) == 4


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_not_unicode_is_shown_as_text(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("a", 2), make_images("b", 2)
    os.rename(tmp_path / "a", os.fsencode(tmp_path) + b"/caf\xe9")
    summary = index_source(tmp_path)
    assert summary.classes == ("b", "caf?")
    assert "caf?" in str(summary.as_json()).encode().decode()


def _error_code(path: Path, read: Callable[[Path], object] = index_source) -> str:
    with pytest.raises(StudioError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return caught.value.code


def test_sources_that_cannot_be_trained_on_have_error_codes(tmp_path: Path, make_images: MakeImages) -> None:
    assert _error_code(tmp_path / "missing") == "no-source"
    assert _error_code(tmp_path) == "no-images"
    file = make_images("a", 3) / "000.png"
    assert _error_code(file) == "unknown-source"
    assert _error_code(tmp_path) == "one-class"
    make_images("b", 1)
    (tmp_path / "b" / "000.png").write_bytes(b"")
    assert _error_code(tmp_path, check) == "one-class"


def test_a_source_without_readable_images_is_refused(tmp_path: Path, make_images: MakeImages) -> None:
    for name in ("a", "b"):
        (make_images(name, 1) / "000.png").write_bytes(b"")
    with pytest.raises(StudioError, match="None of the images"):
        check(tmp_path)
