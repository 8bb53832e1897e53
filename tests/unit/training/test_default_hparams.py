"""Default settings for a recipe, and a warning of too few steps."""

from collections.abc import Callable
from pathlib import Path

import pytest

from studio.app import suggested_hparams
from studio.core import events
from studio.core.control import TrainControl
from studio.core.recipe import Attachment, Recipe, Training
from studio.core.run import Run
from studio.peft.contract import METHODS
from studio.training import default_hparams
from studio.training.loop import train

MakeRecipe = Callable[..., Recipe]


def _recipe(*methods: str, **training: object) -> Recipe:
    attached = tuple(
        Attachment(name=f"a{number}", method=method, at=("blocks.*",)) for number, method in enumerate(methods)
    )
    return Recipe(attachments=attached, training=Training.model_validate(training))


def test_the_learning_rate_is_the_lowest_of_the_methods() -> None:
    assert suggested_hparams.suggested_learning_rate(_recipe("lora")) == METHODS.get("lora").learning_rate
    assert suggested_hparams.suggested_learning_rate(_recipe("lora", "full")) == METHODS.get("full").learning_rate
    assert suggested_hparams.suggested_learning_rate(_recipe()) == METHODS.get("linear_probe").learning_rate
    assert (
        suggested_hparams.suggested_learning_rate(_recipe("nobody-has-it")) == METHODS.get("linear_probe").learning_rate
    )
    sgd = suggested_hparams.suggested_learning_rate(_recipe("lora", optimizer="sgd"))
    assert sgd == pytest.approx(10 * METHODS.get("lora").learning_rate)


def test_full_fine_tuning_takes_a_lower_rate_than_any_adapter() -> None:
    whole = METHODS.get("full").learning_rate
    assert all(whole < method.learning_rate for method in METHODS if method.name not in ("full", "fusion"))


def test_a_disabled_attachment_does_not_count() -> None:
    recipe = _recipe("lora", "full")
    off = recipe.attachments[1].model_copy(update={"enabled": False})
    recipe = recipe.model_copy(update={"attachments": (recipe.attachments[0], off)})
    assert suggested_hparams.suggested_learning_rate(recipe) == METHODS.get("lora").learning_rate


@pytest.mark.parametrize("images", [1, 5, 20, 96, 400, 1437, 50_000])
def test_suggestions_make_enough_steps(images: int) -> None:
    recipe = _recipe("lora", ema=0.9)
    better = suggested_hparams.suggested_training(recipe, images)
    assert better.ema == 0.9
    assert 4 <= better.batch_size <= 32
    assert 5 <= better.epochs <= 40
    steps = better.epochs * -(-images // better.batch_size)
    assert images < 20 or steps >= default_hparams.MIN_STEPS
    if steps >= default_hparams.MIN_STEPS:
        assert suggested_hparams.too_few_steps_warning(recipe.model_copy(update={"training": better}), images) is None


def test_a_run_of_few_steps_warns_once_with_a_suggestion(tmp_path: Path, make_recipe: MakeRecipe) -> None:
    run, control = Run.create(make_recipe(epochs=1), tmp_path / "run"), TrainControl()
    control.stop()
    said = [event.text for event in train(run, control) if isinstance(event, events.Warning)]
    assert said == [suggested_hparams.too_few_steps_warning(run.recipe, 18)]
    assert said == [
        "The number of optimizer steps is low: 4. Suggested for 18 training images: batch size 4, 40 epochs and "
        "learning rate 0.005."
    ]
    list(train(run, TrainControl(), resume=True))
    enough = run.recipe.model_copy(update={"training": Training(epochs=150)})
    assert suggested_hparams.too_few_steps_warning(enough, 18) is None


def test_a_recipe_is_suggested_for_its_own_images(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    assert suggested_hparams.with_suggested_training(recipe).training == suggested_hparams.suggested_training(
        recipe, 18
    )


def test_suggestions_come_before_assignments(tmp_path: Path, make_recipe: MakeRecipe) -> None:
    make_recipe().save(tmp_path / "recipe.toml")
    found = suggested_hparams.suggested_assignments(tmp_path / "recipe.toml", ["training.epochs=2"])
    assert found == ("training.learning_rate=0.005", "training.batch_size=4", "training.epochs=40", "training.epochs=2")
