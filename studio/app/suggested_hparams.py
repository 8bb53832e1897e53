"""How to train where the user has no wishes. For window and command line; imports torch when called."""

from collections.abc import Sequence
from pathlib import Path

from studio.core.recipe import Recipe, Training


def suggested_learning_rate(recipe: Recipe) -> float:
    """A learning rate to begin with for what the recipe attaches and its optimiser."""
    from studio.training import default_hparams

    return default_hparams.default_lr(recipe)


def suggested_training(recipe: Recipe, images: int) -> Training:
    """The recipe's training with a rate, batches and epochs that suit its attachments and its training images."""
    from studio.training import default_hparams

    return default_hparams.suggest_training(recipe, images)


def too_few_steps_warning(recipe: Recipe, images: int) -> str:
    """A sentence where training on so many images makes too few steps to learn much; else empty."""
    from studio.training import default_hparams

    return default_hparams.too_few_steps_warning(recipe, images)


def with_suggested_training(recipe: Recipe) -> Recipe:
    """The recipe with :func:`suggested_training` for its own images; StudioError where there are none."""
    from studio.data.dataset.dataset import build_index

    images = build_index(recipe.data).counts["train"]
    return recipe.model_copy(update={"training": suggested_training(recipe, images)})


def suggested_assignments(path: Path, given: Sequence[str] = ()) -> tuple[str, ...]:
    """What is suggested for a recipe file with ``given`` assignments, as assignments with those after them."""
    from studio.app.training import load_recipe

    better = with_suggested_training(load_recipe(path, given)).training
    made = {key: getattr(better, key) for key in ("learning_rate", "batch_size", "epochs")}
    return (*(f"training.{key}={value}" for key, value in made.items()), *given)
