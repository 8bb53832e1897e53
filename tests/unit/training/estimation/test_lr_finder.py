"""The learning rate finder: its suggestion, and no side effects."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from studio.app import lr_finder as app_lr_finder
from studio.cli.lr_finder_text import lr_curve_parts
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.peft.contract import METHODS
from studio.training.estimation import lr_finder

MakeRecipe = Callable[..., Recipe]


def _curve(valley: float) -> list[tuple[float, float]]:
    """A loss that falls around a twentieth of ``valley``, is lowest there, and then rises."""
    found = []
    for rate in np.geomspace(1e-6, 1, 100).tolist():
        fallen = 1 / (1 + (valley / 20 / rate) ** 1.5)
        found.append((rate, 2 - fallen + (rate / valley) ** 2 / 50))
    return found


@pytest.mark.parametrize("valley", [1e-3, 1e-2, 1e-1])
def test_the_suggestion_lies_on_the_falling_part_of_the_curve(valley: float) -> None:
    found = lr_finder.suggest_lr(_curve(valley), default_lr=123.0)
    assert found.clear
    assert valley / 50 < found.suggestion < valley / 3
    assert len(found.rates) == len(found.losses) == 100


@pytest.mark.parametrize("found", [[], [(1e-6, 2.0)], [(1e-6, 2.0), (1e-5, 2.1), (1e-4, 2.0), (1e-3, 2.2)]])
def test_without_a_fall_the_default_of_the_method_is_suggested(found: list[tuple[float, float]]) -> None:
    curve = lr_finder.suggest_lr(found, default_lr=0.002)
    assert (curve.suggestion, curve.clear) == (0.002, False)
    assert "default of the methods" in lr_curve_parts(curve)[1]


def test_rates_are_tried_on_the_recipe_itself_and_nothing_is_left(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(tmp_path / "home"))
    recipe = make_recipe(batch_size=9)
    before, drawn = sorted(tmp_path.rglob("*")), torch.get_rng_state()
    found = lr_finder.find_lr(recipe, steps=40)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert sorted(tmp_path.rglob("*")) == before
    assert found.rates[0] == lr_finder.MIN_LR
    assert list(found.rates) == sorted(found.rates)
    assert found.clear
    assert 1e-4 < found.suggestion < 0.5
    assert f"suggested learning_rate  {found.suggestion:g}" in lr_curve_parts(found)[1]
    assert found == lr_finder.find_lr(recipe, steps=40)


def test_a_loss_that_explodes_ends_the_test(make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def exploding(*_: object) -> object:
        return iter([(1e-6, 2.0), (1e-5, 1.0), (1e-4, 500.0), (1e-3, 1.0)])

    monkeypatch.setattr(lr_finder, "_losses", exploding)
    assert [rate for rate, _ in lr_finder.sweep_lr(make_recipe(), TrainControl())] == [1e-6, 1e-5]


def test_the_lr_finder_can_be_stopped(make_recipe: MakeRecipe) -> None:
    control = TrainControl()
    control.stop()
    with pytest.raises(StudioError, match="was stopped"):
        app_lr_finder.find_lr(make_recipe(), control)


def test_an_unclear_curve_suggests_the_default_of_the_method(make_recipe: MakeRecipe) -> None:
    assert lr_finder.find_lr(make_recipe(), steps=2).suggestion == METHODS.get("lora").learning_rate
