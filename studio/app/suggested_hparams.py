"""Suggested training settings; imports torch when called."""

from collections.abc import Sequence
from pathlib import Path

from studio.core.messages import Message
from studio.core.recipe import Recipe, Training


def suggested_learning_rate(recipe: Recipe) -> float:
    """Return a first learning rate for the recipe's attachments and optimizer."""
    from studio.training import default_hparams

    return default_hparams.default_lr(recipe)


def suggested_training(recipe: Recipe, images: int) -> Training:
    """Return the training settings with suggested rate, batch size and epochs.

    ``images`` is the number of training images.
    """
    from studio.training import default_hparams

    return default_hparams.suggest_training(recipe, images)


def too_few_steps_warning(recipe: Recipe, images: int) -> Message | None:
    """Return a warning if the training makes too few steps; None otherwise."""
    from studio.training import default_hparams

    return default_hparams.too_few_steps_warning(recipe, images)


def with_suggested_training(recipe: Recipe) -> Recipe:
    """Return the recipe with :func:`suggested_training`; StudioError without images."""
    from studio.data.dataset.dataset import build_index

    images = build_index(recipe.data).counts["train"]
    return recipe.model_copy(update={"training": suggested_training(recipe, images)})


def suggested_assignments(path: Path, given: Sequence[str] = ()) -> tuple[str, ...]:
    """Return suggested assignments for a recipe file, followed by the ``given`` ones."""
    from studio.app.training import load_recipe

    suggested = with_suggested_training(load_recipe(path, given)).training
    keys = ("learning_rate", "batch_size", "epochs")
    return (*(f"training.{key}={getattr(suggested, key)}" for key in keys), *given)
