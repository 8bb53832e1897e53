"""The batch sources of training and validation."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from studio.core.recipe import Recipe
from studio.data.dataset.dataset import build_index
from studio.data.transforms.preprocessing import Preprocessing
from studio.training import inputs, trainer
from studio.training.trainer import Trainer


@pytest.mark.parametrize("pin_memory", [False, True])
def test_both_loaders_pin_memory_if_asked(
    make_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, pin_memory: bool
) -> None:
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(inputs, "Loader", lambda *_, **values: made.append(values))
    recipe = make_recipe()
    inputs.build_loaders(recipe, build_index(recipe.data), Preprocessing(size=(32, 32)), pin_memory=pin_memory)
    assert [values["pin_memory"] for values in made] == [pin_memory, pin_memory]


def test_memory_is_pinned_for_a_gpu_only(make_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    true = trainer.build_loaders

    def build_loaders(*args: Any, pin_memory: bool) -> Any:
        asked.append(pin_memory)
        return true(*args)

    monkeypatch.setattr(trainer, "build_loaders", build_loaders)
    with Trainer.prepare(make_run(device="cpu"), resume=False):
        assert asked == [False]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_batches_for_a_gpu_are_pinned(make_run: Callable[..., Any]) -> None:
    with Trainer.prepare(make_run(device="cuda"), resume=False) as made:
        assert next(iter(made._loaders[0].batches())).inputs.is_pinned()
