"""Checkpoints: intact or absent at every instant, and damage is noticed."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from studio.core import files
from studio.core.errors import StudioError
from studio.training.run_io import checkpoint


def _write(folder: Path, value: int) -> None:
    checkpoint.write(folder, {"adapter/a": torch.tensor([value]), "random/cpu": torch.zeros(2)}, {"value": value})


def _value(folder: Path) -> int:
    saved = checkpoint.read(folder)
    assert saved is not None
    assert saved.section("adapter")["a"].item() == saved.values["value"]
    return int(saved.values["value"])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def test_round_trip(tmp_path: Path) -> None:
    tensors = {"adapter/x": torch.randn(3, 2), "adapter/y": torch.zeros(0), "optimizer/x:step": torch.tensor(3.0)}
    checkpoint.write(tmp_path, tensors, {"number": 0.1 + 0.2, "nothing": None})
    saved = checkpoint.read(tmp_path)
    assert saved is not None
    assert saved.values == {"number": 0.1 + 0.2, "nothing": None}
    assert all(torch.equal(saved.tensors[name], tensors[name]) for name in tensors)
    assert saved.section("adapter").keys() == {"x", "y"}
    assert saved.damaged == ()


def test_none_was_written(tmp_path: Path) -> None:
    assert checkpoint.read(tmp_path / "missing") is None


def test_only_the_newest_checkpoint_remains(tmp_path: Path) -> None:
    for value in range(6):
        _write(tmp_path, value)
    assert _value(tmp_path) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000006.json", "000006.safetensors", "manifest.json"]


@pytest.mark.parametrize("pattern", ["*.safetensors", "0*.json", "manifest.json"])
def test_damage_is_noticed_and_the_reserve_used(tmp_path: Path, pattern: str) -> None:
    last, reserve = tmp_path / "last", tmp_path / "epoch"
    _write(reserve, 1), _write(last, 2)
    _flip(max(last.glob(pattern)))
    saved = checkpoint.read(last, reserve)
    assert saved is not None
    assert saved.values["value"] == 1
    assert len(saved.damaged) == 1
    _write(last, 3)
    saved = checkpoint.read(last, reserve)
    assert saved is not None
    assert (saved.values["value"], saved.damaged) == (3, ())


def test_all_damaged(tmp_path: Path) -> None:
    last, reserve = tmp_path / "last", tmp_path / "epoch"
    _write(reserve, 1), _write(last, 2)
    for path in tmp_path.rglob("*.safetensors"):
        _flip(path)
    with pytest.raises(StudioError, match=r"No checkpoint in .* can be read") as failed:
        checkpoint.read(last, reserve)
    assert failed.value.code == "damaged-checkpoint"


def test_the_second_generation_of_an_old_run_is_read_and_then_replaced(tmp_path: Path) -> None:
    _write(tmp_path, 1)
    (tmp_path / "previous.json").write_bytes((tmp_path / "manifest.json").read_bytes())
    (tmp_path / "manifest.json").write_text('{"files": {"000002.json": "0"}}')
    (tmp_path / "000002.json").write_text("{}")
    assert _value(tmp_path) == 1
    _write(tmp_path, 3)
    assert _value(tmp_path) == 3
    assert len(list(tmp_path.iterdir())) == 3


def test_a_previous_checkpoint_is_not_read_while_a_new_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, 1)
    hashed, true = [], checkpoint.sha256_file
    monkeypatch.setattr(checkpoint, "sha256_file", lambda path: hashed.append(path.name) or true(path))
    monkeypatch.setattr(checkpoint, "load", lambda _: pytest.fail("a checkpoint was read"))
    _write(tmp_path, 2)
    assert len(hashed) == 1
    assert hashed[0].endswith("000002.safetensors")


def test_a_full_disk_is_an_oserror_with_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    _write(tmp_path, 1)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_file", full)
        with pytest.raises(OSError, match="No space left on device") as failed:
            _write(tmp_path, 2)
    assert failed.value.errno == errno.ENOSPC
    assert _value(tmp_path) == 1
    assert len(list(tmp_path.iterdir())) == 3


class Killed(BaseException):
    """Ends a write at a chosen point, as a kill would."""


@pytest.mark.parametrize("at", range(7))
def test_after_a_kill_at_any_step_the_old_or_the_new_checkpoint_is_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    _write(tmp_path, 1), _write(tmp_path, 2)
    calls, true = iter(range(100)), files.atomic_write

    @contextmanager
    def atomic_write(path: Path) -> Iterator[Path]:
        number = next(calls)
        if 2 * number == at:
            path.with_name(f".0123.{path.name}").write_bytes(b"cut")
            raise Killed
        with true(path) as temporary:
            yield temporary
        if 2 * number + 1 == at:
            raise Killed

    def killed(folder: Path, kept: set[str]) -> None:
        raise Killed

    monkeypatch.setattr(files, "atomic_write", atomic_write)
    monkeypatch.setattr(checkpoint, "atomic_write", atomic_write)
    monkeypatch.setattr(checkpoint, "_remove_others", killed)
    with pytest.raises(Killed):
        _write(tmp_path, 3)
    monkeypatch.undo()
    assert _value(tmp_path) == (3 if at >= 5 else 2)
    _write(tmp_path, 4)
    assert _value(tmp_path) == 4
    assert len(list(tmp_path.iterdir())) == 3
