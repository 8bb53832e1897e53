"""Features of a frozen prefix on disk between runs: found again only where they are what would be computed."""

import errno
import json
import os
import time
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
from studio.training.feature_cache.disk_cache import CachedFeatures, FeatureCache
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
def test_another_run_finds_them_and_trains_bit_for_bit_alike(
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
def test_what_they_depend_on_is_in_the_key(
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


def test_an_incomplete_set_is_not_kept(
    trained: Callable[..., tuple[Run, int]], folder: Path, tmp_path: Path, make_recipe: MakeRecipe
) -> None:
    run, control = Run.create(make_recipe(**LAST_BLOCK), tmp_path / "run"), TrainControl()
    for event in train(run, control):
        if isinstance(event, events.Step) and event.step == 2:
            control.stop()
    assert len(list(folder.iterdir())) == 1


def test_features_of_images_that_cannot_be_read_are_not_kept(
    folder: Path, tmp_path: Path, make_recipe: MakeRecipe
) -> None:
    run = Run.create(make_recipe(**LAST_BLOCK), tmp_path / "run")
    for name in ("a/000", "b/001", "c/002", "a/004", "b/005", "c/006", "a/007", "b/003"):
        (tmp_path / "images" / f"{name}.png").write_bytes(b"no image")
    list(train(run, TrainControl()))
    assert not folder.exists()


def test_a_damaged_one_is_computed_again(trained: Callable[..., tuple[Run, int]], folder: Path) -> None:
    first, _ = trained("first", **LAST_BLOCK)
    for path in folder.glob("*/features.bin"):
        content = bytearray(path.read_bytes())
        content[7] ^= 1
        path.write_bytes(content)
    again, computed = trained("again", **LAST_BLOCK)
    assert computed == TRAINING + VALIDATION
    assert _losses(again) == _losses(first)


def test_a_disk_that_is_full_costs_nothing_but_time(
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


def _kept(number: int, dtype: torch.dtype = torch.float32) -> CachedFeatures:
    features = torch.arange(100).view(10, 5, 2).to(dtype) + number
    return CachedFeatures(features, torch.arange(10), torch.rand(10))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_read_is_what_was_written(tmp_path: Path, dtype: torch.dtype) -> None:
    kept, place = _kept(0, dtype), FeatureCache({}, tmp_path)
    place.write("key", kept)
    found = place.read("key")
    assert found is not None
    assert found.features.dtype == dtype
    for name in ("features", "mix_targets", "mix_lambdas"):
        assert torch.equal(getattr(found, name), getattr(kept, name))
    assert place.read("other") is None


def test_what_is_longest_unused_makes_room(tmp_path: Path) -> None:
    FeatureCache({}, tmp_path).write("0", _kept(0))
    size = sum(path.stat().st_size for path in (tmp_path / "0").iterdir())
    keeper = FeatureCache({}, tmp_path, max_bytes=int(2.5 * size))
    keeper.write("1", _kept(1))
    for number, age in enumerate((300, 200)):
        long_ago = time.time() - age
        os.utime(tmp_path / str(number) / "manifest.json", (long_ago, long_ago))
    assert keeper.read("0") is not None
    (tmp_path / "9.1.part").mkdir()
    os.utime(tmp_path / "9.1.part", (1, 1))
    keeper.write("2", _kept(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "2"]
    keeper.write("3", CachedFeatures(torch.zeros(10, size), torch.arange(10), torch.ones(10)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "2"]
    assert json.loads((tmp_path / "2" / "manifest.json").read_text())["shape"] == [10, 5, 2]
