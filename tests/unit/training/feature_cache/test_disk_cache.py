"""Features on disk between runs: used only if they are equal to those that would be computed."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.core import events
from studio.core.control import TrainControl
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.training import inputs
from studio.training.feature_cache import disk_cache
from studio.training.feature_cache.disk_cache import CachedFeatures
from studio.training.loop import train

MakeRecipe = Callable[..., Recipe]
LAST_BLOCK: dict[str, Any] = {"at": "blocks.1.attn.qkv"}
MIXED: dict[str, Any] = LAST_BLOCK | {"augmentation": "light", "mixup": 0.4, "fixed_views": 2}
TRAINING, VALIDATION, PROBE = 18, 6, 2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "cache" / "features"


@pytest.fixture
def trained(
    tmp_path: Path, folder: Path, make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Run, int]]:
    """Train a recipe; the run, and how many images went through the first block."""
    seen: list[int] = []
    true = inputs.build_inputs

    def counting(attached: Any, *rest: Any) -> inputs.TrainInputs:
        attached.module.blocks[0].register_forward_hook(lambda *call: seen.append(len(call[1][0])))
        return true(attached, *rest)

    monkeypatch.setattr("studio.training.trainer.build_inputs", counting)

    def make(name: str, **values: Any) -> tuple[Run, int]:
        seen.clear()
        run = Run.create(make_recipe(**values), tmp_path / name)
        list(train(run, TrainControl()))
        return run, sum(seen) - 2 * PROBE

    return make


def _losses(run: Run) -> list[float]:
    return [event.loss for event in run.events() if isinstance(event, events.Step | events.Evaluation)]


@pytest.mark.parametrize("values", [LAST_BLOCK, MIXED], ids=["plain", "views"])
def test_another_run_reads_features_and_trains_alike_bit_for_bit(
    trained: Callable[..., tuple[Run, int]], folder: Path, values: dict[str, Any]
) -> None:
    first, computed = trained("first", **values)
    again, none = trained("again", **values)
    assert computed == (2 if "fixed_views" in values else 1) * TRAINING + VALIDATION
    assert none == 0
    assert _losses(again) == _losses(first)
    assert (again.path / "adapter.safetensors").read_bytes() == (first.path / "adapter.safetensors").read_bytes()
    other, none = trained("other", **values, learning_rate=0.001, epochs=2)
    assert none == 0
    assert _losses(other)[0] == _losses(first)[0]
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"seed": 1}, TRAINING),
        ({"batch_size": 6}, TRAINING + VALIDATION),
        ({"precision": "bfloat16"}, TRAINING + VALIDATION),
        ({"augmentation": "light", "fixed_views": 1}, TRAINING),
        ({"at": "blocks.1.attn.qk*", "weight_decay": 0.1}, 0),
    ],
)
def test_the_key_covers_everything_that_features_depend_on(
    trained: Callable[..., tuple[Run, int]], change: dict[str, Any], expected: int
) -> None:
    trained("first", **LAST_BLOCK)
    assert trained("other", **LAST_BLOCK | change)[1] == expected


def test_an_image_that_changed_is_noticed(
    trained: Callable[..., tuple[Run, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained("first", **LAST_BLOCK)
    images, true = tmp_path / "images", Run.create

    def changed(*args: Any) -> Run:
        (images / "a" / "001.png").write_bytes((images / "b" / "001.png").read_bytes())
        return true(*args)

    monkeypatch.setattr(Run, "create", changed)
    _, computed = trained("other", **LAST_BLOCK)
    assert computed in (TRAINING, VALIDATION)


def test_incomplete_features_are_not_saved(
    trained: Callable[..., tuple[Run, int]], folder: Path, tmp_path: Path, make_recipe: MakeRecipe
) -> None:
    run, control = Run.create(make_recipe(**LAST_BLOCK), tmp_path / "run"), TrainControl()
    for event in train(run, control):
        if isinstance(event, events.Step) and event.step == 2:
            control.stop()
    assert len(list(folder.iterdir())) == 1


def test_features_of_unreadable_images_are_not_saved(folder: Path, tmp_path: Path, make_recipe: MakeRecipe) -> None:
    run = Run.create(make_recipe(**LAST_BLOCK), tmp_path / "run")
    for name in ("a/000", "b/001", "c/002", "a/004", "b/005", "c/006", "a/007", "b/003"):
        (tmp_path / "images" / f"{name}.png").write_bytes(b"no image")
    list(train(run, TrainControl()))
    assert not folder.exists()


def test_damaged_features_are_computed_again(trained: Callable[..., tuple[Run, int]], folder: Path) -> None:
    first, _ = trained("first", **LAST_BLOCK)
    for path in folder.glob("*/features.bin"):
        content = bytearray(path.read_bytes())
        content[7] ^= 1
        path.write_bytes(content)
    again, computed = trained("again", **LAST_BLOCK)
    assert computed == TRAINING + VALIDATION
    assert _losses(again) == _losses(first)


def test_a_full_disk_is_no_error(
    trained: Callable[..., tuple[Run, int]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(disk_cache, "save_file", full)
        first, computed = trained("first", **LAST_BLOCK)
    assert computed == TRAINING + VALIDATION
    assert not list(folder.iterdir())
    assert _losses(trained("again", **LAST_BLOCK)[0]) == _losses(first)


def test_features_beyond_the_budget_need_no_hashes(
    trained: Callable[..., tuple[Run, int]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_cache, "MAX_BYTES", 1000)
    monkeypatch.setattr(disk_cache, "image_digests", lambda *_: pytest.fail("images were hashed"))
    assert trained("run", **LAST_BLOCK)[1] == TRAINING + VALIDATION
    assert not folder.exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_features_are_read_as_they_were_written(tmp_path: Path, dtype: torch.dtype) -> None:
    cached = CachedFeatures(torch.arange(100).view(10, 5, 2).to(dtype), torch.arange(10), torch.rand(10))
    disk_cache._write(cached, tmp_path)
    found = disk_cache._read(tmp_path)
    assert found is not None
    assert found.features.dtype == dtype
    for name in ("features", "mix_targets", "mix_lambdas"):
        assert torch.equal(getattr(found, name), getattr(cached, name))
    (tmp_path / "layout.json").unlink()
    assert disk_cache._read(tmp_path) is None
