"""The learning rate finder, for the window and the command line."""

from typing import TYPE_CHECKING

from studio.core.recipe import Recipe

if TYPE_CHECKING:
    from studio.core.control import TrainControl
    from studio.training.estimation.lr_finder import LRFinderResult


def find_lr(recipe: Recipe, control: "TrainControl | None" = None) -> "LRFinderResult":
    """Return the loss at rising learning rates and a suggestion, in some 100 steps.

    Changes no run. Raises StudioError if the recipe cannot be trained or ``control`` asks to stop.
    """
    from studio.training.estimation import lr_finder

    return lr_finder.find_lr(recipe, control)
