"""Atomic writing: a reader sees the old file or the new one."""

import json
import math
import os
from pathlib import Path

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
    assert order == ["sync", "rename"]


def test_json_is_readable_and_strict(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    files.write_json(path, {"name": "猫", "values": [1, 2.5, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "猫", "values": [1, 2.5, None]}
    assert "猫" in path.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"loss": math.nan})
    assert json.loads(path.read_text(encoding="utf-8"))["name"] == "猫"
