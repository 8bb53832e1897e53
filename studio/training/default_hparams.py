"""Default learning rate, batch size and number of epochs for a recipe."""

from studio.core.messages import N_, Message
from studio.core.recipe import Recipe, Training
from studio.peft.contract import METHODS

SGD_LR_FACTOR = 10
"""Factor on the learning rate for SGD, which unlike AdamW does not normalize the gradient."""
MIN_STEPS = 150
"""Optimizer steps below which a warning is due."""
_TARGET_STEPS = 300
_MIN_BATCHES = 12
"""Batches in an epoch of few images, for which the batch size is reduced."""


def default_lr(recipe: Recipe) -> float:
    """Return the lowest default of the attached methods.

    A higher one can ruin the weights of another method.
    """
    names = {attachment.method for attachment in recipe.attachments if attachment.enabled}
    rates = [METHODS.get(name).learning_rate for name in names if name in METHODS]
    factor = SGD_LR_FACTOR if recipe.training.optimizer == "sgd" else 1
    return min(rates, default=METHODS.get("linear_probe").learning_rate) * factor


def suggest_training(recipe: Recipe, num_images: int) -> Training:
    """Return settings with learning rate, batch size and epochs for the images.

    ``num_images`` is the number of training images.
    """
    batch = max(4, min(32, 1 << (max(1, num_images // _MIN_BATCHES).bit_length() - 1)))
    epochs = max(5, min(40, -(-_TARGET_STEPS // -(-num_images // batch))))
    chosen = {"learning_rate": default_lr(recipe), "batch_size": batch, "epochs": epochs}
    return recipe.training.model_copy(update=chosen)


def too_few_steps_warning(recipe: Recipe, num_images: int) -> Message | None:
    """Return a warning if there are fewer than :data:`MIN_STEPS` steps."""
    settings = recipe.training
    steps = settings.epochs * -(-num_images // settings.batch_size)
    if steps >= MIN_STEPS:
        return None
    better = suggest_training(recipe, num_images)
    return N_(
        "The number of optimizer steps is low: {steps:,}. Suggested for {images:,} training images: batch size "
        "{batch_size}, {epochs} epochs and learning rate {learning_rate}.",
        steps=steps,
        images=num_images,
        batch_size=better.batch_size,
        epochs=better.epochs,
        learning_rate=f"{better.learning_rate:g}",
    )
