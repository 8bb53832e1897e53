"""The disk cache: hits, damage and eviction."""

import os
import time
from pathlib import Path

import pytest

from studio.core.cache import DiskCache, cache_key


def _put(cache: DiskCache, key: str, size: int = 10) -> Path:
    return cache.put(key, lambda folder: (folder / "data.bin").write_bytes(b"x" * size) and None)


def _age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_folder_is_found_by_its_key(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 10_000)
    assert cache.get("a") is None
    assert _put(cache, "a") == cache.get("a") == tmp_path / "cache" / "a"
    assert cache.get("b") is None
    cache.remove("a")
    assert cache.get("a") is None


def test_a_changed_or_missing_file_is_a_miss_and_is_replaced(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000)
    file = _put(cache, "a") / "data.bin"
    file.write_bytes(b"y" * 10)
    assert cache.get("a") is None
    _put(cache, "a")
    assert cache.get("a") is not None
    assert file.read_bytes() == b"x" * 10
    file.unlink()
    assert cache.get("a") is None
    (tmp_path / "a" / "manifest.json").write_text("[]")
    assert cache.get("a") is None


def test_without_hashes_only_sizes_are_compared(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000, hashed=False)
    file = _put(cache, "a") / "data.bin"
    file.write_bytes(b"y" * 10)
    assert cache.get("a") is not None
    file.write_bytes(b"y")
    assert cache.get("a") is None


def test_an_error_while_filling_leaves_nothing(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000)

    def fill(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise KeyError

    with pytest.raises(KeyError):
        cache.put("a", fill)
    assert list(tmp_path.iterdir()) == []


def test_the_least_recently_used_is_evicted_by_bytes(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 700)
    for age, key in ((300, "a"), (200, "b"), (100, "c")):
        _age(_put(cache, key, 100) / "manifest.json", age)
    assert cache.get("a") is not None  # used just now, so that b is the oldest
    _put(cache, "d", 100)
    assert [bool(cache.get(key)) for key in "abcd"] == [True, False, True, True]


def test_the_newest_and_recently_used_entries_stay(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10, keep_seconds=3600)
    _age(_put(cache, "old") / "manifest.json", 7200)
    _put(cache, "recent")
    _put(cache, "new", 1000)
    assert [bool(cache.get(key)) for key in ("old", "recent", "new")] == [False, True, True]


def test_leftovers_of_killed_processes_are_removed_after_a_day(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000)
    for name, age in ((".part-old", 100_000), (".part-new", 10)):
        (tmp_path / name).mkdir()
        _age(tmp_path / name, age)
    _put(cache, "a")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".part-new", "a"]


def test_a_process_that_was_faster_wins(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000)

    def fill(folder: Path) -> None:
        (folder / "data.bin").write_bytes(b"slow")
        _put(cache, "a")

    assert (cache.put("a", fill) / "data.bin").read_bytes() == b"x" * 10
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_json_values_are_saved_replaced_and_evicted(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 60)
    assert cache.get_json("a") is None
    cache.put_json("a", {"n": 1})
    cache.put_json("a", {"n": 2})
    assert cache.get_json("a") == {"n": 2}
    (tmp_path / "b.json").write_text("{")
    assert cache.get_json("b") is None
    _age(tmp_path / "a.json", 100)
    cache.put_json("c", "x" * 50)
    assert cache.get_json("a") is None
    assert cache.get_json("c") == "x" * 50


def test_room_is_within_the_limit_and_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = DiskCache(tmp_path, 1000)
    assert cache.has_room(1000)
    assert not cache.has_room(1001)
    monkeypatch.setattr("studio.core.cache.shutil.disk_usage", lambda _: _Disk())
    assert not cache.has_room(100)


class _Disk:
    free = 100


def test_a_key_depends_on_values_not_on_their_order() -> None:
    assert cache_key({"a": 1, "b": Path("x")}) == cache_key({"b": Path("x"), "a": 1})
    assert cache_key({"a": 1}) != cache_key({"a": 2})
    assert len(cache_key()) == 64
