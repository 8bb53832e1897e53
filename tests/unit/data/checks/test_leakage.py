"""Copies in both splits inflate the score; kept together they do not."""

from pathlib import Path

import numpy as np
import pytest

from studio.core.recipe import Data, Split
from studio.data.checks import check
from studio.data.dataset import split_manifest
from studio.data.dataset.dataset import build_index
from studio.data.dataset.index import DatasetIndex, ImageFile
from studio.data.images.image_metadata import read_metadata
from tests.data.bad_images import picture

PICTURES, COPIES = 80, 4


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures whose class has nothing to do with what they show, each saved again in several sizes."""
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(tmp_path / "home"))
    for seed in range(PICTURES):
        folder = tmp_path / "images" / "ab"[seed % 2]
        folder.mkdir(parents=True, exist_ok=True)
        for copy in range(COPIES):
            picture(seed, 64 + 16 * copy, 48 + 12 * copy).save(folder / f"{copy}-{seed}.jpg", quality=90 - 5 * copy)
    return tmp_path / "images"


def _thumbnails(root: Path, images: tuple[ImageFile, ...]) -> np.ndarray:
    read = (bytes.fromhex(read_metadata(root / image.path).thumbnail) for image in images)
    return np.array([np.frombuffer(values, np.uint8) for values in read], np.int32)


def _accuracy(summary: DatasetIndex) -> float:
    """Of the class of the nearest training image, over the validation images."""
    known, asked = summary.in_split("train"), summary.in_split("validation")
    there = _thumbnails(summary.path, known)
    nearest = [np.abs(there - one).sum(axis=1).argmin() for one in _thumbnails(summary.path, asked)]
    return float(np.mean([known[place].label == image.label for place, image in zip(nearest, asked, strict=True)]))


def test_copies_inflate_the_score_unless_kept_together(planted: Path) -> None:
    inflated = build_index(Data(path=str(planted)))
    honest = build_index(Data(path=str(planted), split=Split(copies_together=True)))
    assert inflated.counts == honest.counts == {"train": 256, "validation": 64, "test": 0}
    assert _accuracy(inflated) > 0.95
    assert 0.2 < _accuracy(honest) < 0.8


def test_the_check_reports_leakage_until_copies_are_kept_together(planted: Path) -> None:
    def kinds(split: Split) -> set[str]:
        return {issue.kind for issue in check(planted, Data(split=split)).issues}

    assert kinds(Split()) == {"near-duplicate", "leakage"}
    assert kinds(Split(copies_together=True)) == {"near-duplicate"}


def test_a_run_keeps_the_split_that_it_was_trained_on(planted: Path, tmp_path: Path) -> None:
    data = Data(path=str(planted), split=Split(copies_together=True, folds=5, fold=2))
    summary = build_index(data)
    split_manifest.write_split(summary, tmp_path)
    (planted / "a" / "0-0.jpg").unlink()
    assert split_manifest.images_of_run(tmp_path, data).in_split("validation") == summary.in_split("validation")


def test_the_folds_of_a_folder_cover_it(planted: Path) -> None:
    folds = [build_index(Data(path=str(planted), split=Split(folds=4, fold=fold))) for fold in range(4)]
    kept = [{image.path for image in fold.in_split("validation")} for fold in folds]
    assert [len(fold) for fold in kept] == [80] * 4
    assert len(set().union(*kept)) == PICTURES * COPIES
