"""Checkpoints: whole or absent at every instant, and damage is noticed."""

from pathlib import Path

import pytest
import torch

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


def test_the_last_two_are_kept_and_no_more(tmp_path: Path) -> None:
    for value in range(6):
        _write(tmp_path, value)
    assert _value(tmp_path) == 5
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize("pattern", ["*.safetensors", "0*.json", "manifest.json"])
def test_damage_is_noticed_and_the_one_before_used(tmp_path: Path, pattern: str) -> None:
    _write(tmp_path, 1), _write(tmp_path, 2)
    _flip(max(tmp_path.glob(pattern)))
    assert _value(tmp_path) == 1
    saved = checkpoint.read(tmp_path)
    assert saved is not None
    assert len(saved.damaged) == 1


def test_a_damaged_one_never_becomes_the_reserve(tmp_path: Path) -> None:
    _write(tmp_path, 1), _write(tmp_path, 2)
    _flip(max(tmp_path.glob("*.safetensors")))
    _write(tmp_path, 3)
    _flip(max(tmp_path.glob("*.safetensors")))
    assert _value(tmp_path) == 1


def test_all_damaged(tmp_path: Path) -> None:
    _write(tmp_path, 1), _write(tmp_path, 2)
    for path in tmp_path.glob("*.safetensors"):
        _flip(path)
    with pytest.raises(StudioError, match="is damaged, and so is the one before"):
        checkpoint.read(tmp_path)


class Killed(BaseException):
    """Ends a write at a chosen point, as a kill would."""


@pytest.mark.parametrize("at", range(8))
def test_killed_between_any_two_of_its_steps_the_old_or_the_new_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    _write(tmp_path, 1), _write(tmp_path, 2)
    calls = iter(range(100))
    true = checkpoint.write_bytes

    def write_bytes(path: Path, content: bytes) -> None:
        number = next(calls)
        if 2 * number == at:
            path.with_name(f".{path.name}.1.tmp").write_bytes(content[:3])
            raise Killed
        true(path, content)
        if 2 * number + 1 == at:
            raise Killed

    monkeypatch.setattr(checkpoint, "write_bytes", write_bytes)
    monkeypatch.setattr(
        checkpoint, "write_json", lambda path, raw: write_bytes(path, checkpoint.json.dumps(raw).encode())
    )
    with pytest.raises(Killed):
        _write(tmp_path, 3)
    monkeypatch.undo()
    assert _value(tmp_path) == (3 if at == 7 else 2)
    _write(tmp_path, 4)
    assert _value(tmp_path) == 4
    assert len(list(tmp_path.iterdir())) == 6
