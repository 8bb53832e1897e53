"""The checks report each issue, and open each file once."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from studio.core import paths
from studio.core.errors import StudioError
from studio.core.files import sha256_file, write_json
from studio.core.messages import Message
from studio.core.recipe import Data
from studio.data.checks import check, check_scan, scan_source
from studio.data.dataset.index import DatasetIndex
from studio.data.images import image_metadata
from tests.data.bad_images import EXPECTED, LEAKING, ONE_CLASS, make, make_leaking, make_one_class, picture

MakeImages = Callable[..., Path]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(tmp_path_factory.mktemp("home")))


def _found(summary: DatasetIndex) -> dict[str, set[str]]:
    return {issue.kind: {path.as_posix() for path in issue.files} for issue in summary.issues}


@pytest.mark.skipif(sys.platform != "linux", reason="some of the names and links cannot be made elsewhere")
def test_each_issue_is_reported_and_no_other(tmp_path: Path) -> None:
    root = make(tmp_path / "images")
    before = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}
    summary = check(root)
    assert _found(summary) == EXPECTED
    unusable = {"empty", "truncated", "vanished", "bomb", "extreme-shape", "unreadable"}
    assert not {i.path.as_posix() for i in summary.images} & {file for kind in unusable for file in EXPECTED[kind]}
    assert {path: path.lstat().st_mtime_ns for path in root.rglob("*")} == before


def test_leakage_between_ready_made_splits_is_reported(tmp_path: Path) -> None:
    assert _found(check(make_leaking(tmp_path / "images"))) == LEAKING


def test_texts_of_issues_can_be_translated(tmp_path: Path) -> None:
    scan = scan_source(make(tmp_path / "images"))
    for issue in (*check_scan(scan, Data()).issues, *check_scan(scan_source(scan.source), Data()).issues):
        assert isinstance(issue.text, Message)
        assert "{" not in issue.text
        reason = issue.text.values.get("reason")
        assert reason is None or isinstance(reason, Message), issue


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    root = make_one_class(tmp_path / "images")
    with pytest.raises(StudioError) as caught:
        check(root)
    assert str(caught.value) == ONE_CLASS.format(root)


def test_files_that_vanish_during_the_check_are_reported(
    tmp_path: Path, make_images: MakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [make_images("a", 4) / "003.png", make_images("b", 4) / "002.png"]
    examine = image_metadata.read_metadata

    def vanish(path: Path, known: dict[str, image_metadata.ImageMetadata]) -> image_metadata.ImageMetadata:
        for other in gone if path.parts[-2:] == ("a", "000.png") else ():
            other.unlink()
        return examine(path, known)

    monkeypatch.setattr(image_metadata, "read_metadata", vanish)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    summary = check(tmp_path)
    assert _found(summary) == {"vanished": {"a/003.png", "b/002.png"}}
    assert len(summary.images) == 6


def test_good_images_have_no_issues(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("a", 10), make_images("b", 10)
    assert check(tmp_path).issues == ()


def test_a_copy_in_another_split_is_leakage(tmp_path: Path, make_images: MakeImages) -> None:
    for folder in ("train/a", "train/b", "val/a", "val/b"):
        make_images(folder, 4)
    picture(1).save(tmp_path / "train" / "a" / "photo.png")
    picture(1, 96, 72).save(tmp_path / "val" / "a" / "photo.jpg", quality=85)
    assert _found(check(tmp_path))["leakage"] == {"train/a/photo.png", "val/a/photo.jpg"}


def test_a_known_file_is_not_opened_again(
    tmp_path: Path, make_images: MakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images("a", 4), make_images("b", 4)
    first = check(tmp_path)
    monkeypatch.setattr(image_metadata, "read_metadata", lambda *_: pytest.fail("opened again"))
    assert check(tmp_path) == first


def test_a_touched_file_is_hashed_but_not_decoded_again(
    tmp_path: Path, make_images: MakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images("a", 4), make_images("b", 4)
    first = check(tmp_path)
    os.utime(tmp_path / "a" / "000.png", (1, 1))
    decoded: list[object] = []
    monkeypatch.setattr(image_metadata, "to_upright_rgb", lambda *given: decoded.append(given))
    assert check(tmp_path) == first
    assert not decoded


def test_a_changed_file_is_opened_again(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("a", 4), make_images("b", 4)
    assert not check(tmp_path).issues
    (tmp_path / "a" / "000.png").write_bytes(b"")
    assert _found(check(tmp_path)) == {"empty": {"a/000.png"}}


def test_a_damaged_cache_is_replaced(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("a", 4), make_images("b", 4)
    first = check(tmp_path)
    (file,) = (paths.cache_dir() / "checks").rglob("*.jsonl")
    for content in ("", "[]", "3", "{", '["a/000.png/1/2"]', '["a/000.png/1/2", {"reason": "", "unknown": 1}]'):
        file.write_text(content)
        assert image_metadata.MetadataCache.load(tmp_path).by_stamp == {}
        write_json(file.with_name("manifest.json"), {"files": {file.name: [len(content), sha256_file(file)]}})
        assert image_metadata.MetadataCache.load(tmp_path).by_stamp == {}
        assert check(tmp_path) == first
        assert len(image_metadata.MetadataCache.load(tmp_path).by_stamp) == 8


def test_a_stopped_check_resumes(tmp_path: Path, make_images: MakeImages, monkeypatch: pytest.MonkeyPatch) -> None:
    make_images("a", 10), make_images("b", 10)
    seen: list[tuple[int, int]] = []

    def stop_at_five(doing: str, done: int, total: int) -> None:
        seen.append((done, total))
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(tmp_path, progress=stop_at_five)
    assert seen == [(done, 20) for done in range(1, 6)]
    assert len(image_metadata.MetadataCache.load(tmp_path).by_stamp) == 5


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes there")
def test_a_pipe_does_not_block_the_check(tmp_path: Path, make_images: MakeImages) -> None:
    make_images("a", 4), make_images("b", 4)
    os.mkfifo(tmp_path / "a" / "pipe.png")
    assert _found(check(tmp_path)) == {"unreadable": {"a/pipe.png"}}


@pytest.mark.parametrize("change", [lambda i: i.resize((200, 150)), lambda i: i.point(lambda value: value // 1.01)])
def test_the_fingerprint_stays_nearly_the_same(change: Callable[[Image.Image], Image.Image]) -> None:
    for seed in range(20):
        image = picture(seed)
        assert (image_metadata.dhash(image) ^ image_metadata.dhash(change(image))).bit_count() <= 3


def test_different_pictures_have_different_fingerprints() -> None:
    prints = [image_metadata.dhash(picture(seed)) for seed in range(100)]
    assert min((a ^ b).bit_count() for i, a in enumerate(prints) for b in prints[:i]) > 3
