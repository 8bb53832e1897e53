"""How to train where the user has no wishes: a rate that suits the methods, and steps enough for few images."""

from studio.core.recipe import Recipe, Training
from studio.peft.contract import METHODS

SGD_LR_FACTOR = 10
"""SGD does not divide by the size of the gradient, so it takes a higher rate than AdamW."""
MIN_STEPS = 150
"""Training that makes fewer steps is likely to end before it has learnt what there is to learn."""
_TARGET_STEPS = 300
_MIN_BATCHES = 12
"""Of an epoch, where batches are smaller than usual because there are few images."""


def default_lr(recipe: Recipe) -> float:
    """The lowest of the attached methods' rates: what suits one method can ruin another's weights."""
    names = {attachment.method for attachment in recipe.attachments if attachment.enabled}
    rates = [METHODS.get(name).learning_rate for name in names if name in METHODS]
    factor = SGD_LR_FACTOR if recipe.training.optimizer == "sgd" else 1
    return min(rates, default=METHODS.get("linear_probe").learning_rate) * factor


def suggest_training(recipe: Recipe, num_images: int) -> Training:
    """The recipe's training with a learning rate, batches and epochs that suit it and the number of training images."""
    batch = max(4, min(32, 1 << (max(1, num_images // _MIN_BATCHES).bit_length() - 1)))
    epochs = max(5, min(40, -(-_TARGET_STEPS // -(-num_images // batch))))
    chosen = {"learning_rate": default_lr(recipe), "batch_size": batch, "epochs": epochs}
    return recipe.training.model_copy(update=chosen)


def too_few_steps_warning(recipe: Recipe, num_images: int) -> str:
    """A sentence where the recipe makes so few steps that it hardly learns; else empty."""
    settings = recipe.training
    steps = settings.epochs * -(-num_images // settings.batch_size)
    if steps >= MIN_STEPS:
        return ""
    better = suggest_training(recipe, num_images)
    return (
        f"{steps} steps are few to learn from; with {num_images} training images training.batch_size = "
        f"{better.batch_size}, training.epochs = {better.epochs} and training.learning_rate = "
        f"{better.learning_rate:g} suit better."
    )
