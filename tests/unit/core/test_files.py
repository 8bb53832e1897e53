"""Atomic writing: a reader sees the old file or the new one."""

import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from studio.core import files


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    files.write_text(path, "old, and longer")
    files.write_text(path, "né")
    assert path.read_bytes() == "né".encode()
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    files.write_text(path, "old")

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_content_is_on_the_disk_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, order = tmp_path / "file.bin", []
    synced, replaced = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (order.append("sync"), synced(number)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append("rename"), replaced(self, to))[1])
    files.write_bytes(path, b"x")
    assert order[:2] == ["sync", "rename"]


def test_json_is_readable_and_strict(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    files.write_json(path, {"name": "猫", "values": [1, 2.5, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "猫", "values": [1, 2.5, None]}
    assert "猫" in path.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"loss": math.nan})
    assert json.loads(path.read_text(encoding="utf-8"))["name"] == "猫"


def test_a_library_writes_a_file_that_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "array.npy"
    path.write_bytes(b"old")
    with files.atomic_write(path) as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".npy")
        np.save(temporary, np.arange(3))
        assert path.read_bytes() == b"old"
    assert np.load(path).tolist() == [0, 1, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["array.npy"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.mkdir()
    (path / "old.txt").write_text("old")
    with files.replace_folder(path) as new:
        (new / "deep").mkdir()
        (new / "deep" / "new.txt").write_text("new")
        assert (path / "old.txt").read_text() == "old"
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*.txt"))] == ["export/deep/new.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["export"]


def test_a_folder_that_cannot_be_made_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "export"
    path.mkdir()
    (path / "old.txt").write_text("old")
    with pytest.raises(KeyError), files.replace_folder(path):
        raise KeyError
    renamed = Path.rename

    def rename(self: Path, to: Path) -> Path:
        if to == path and (self / "new.txt").exists():
            raise OSError("busy")
        return renamed(self, to)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="busy"), files.replace_folder(path) as new:
        (new / "new.txt").write_text("new")
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*"))] == ["export", "export/old.txt"]


def test_a_file_has_a_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256_file(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_files_have_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    expected = (tmp_path / "plain").stat().st_mode
    with files.atomic_write(tmp_path / "alone") as temporary:
        temporary.touch(mode=0o600)
    with files.replace_folder(tmp_path / "folder") as new:
        (new / "inside").touch(mode=0o600)
    assert [(tmp_path / name).stat().st_mode for name in ("alone", "folder/inside")] == [expected, expected]
