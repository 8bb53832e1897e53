"""Finding a learning rate by trying, for whoever shows it."""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from studio.core.formatting import format_table
from studio.core.recipe import Recipe

if TYPE_CHECKING:
    from studio.core.control import TrainControl
    from studio.training.estimation.lr_finder import LRFinderResult

_ROWS = 16


def find_lr(recipe: Recipe, control: "TrainControl | None" = None) -> "LRFinderResult":
    """The loss at rising learning rates and a suggestion; changes no run, and takes about a hundred steps.

    Raises StudioError where the recipe cannot be trained or ``control`` asks to stop.
    """
    from studio.training.estimation import lr_finder

    return lr_finder.find_lr(recipe, control)


def lr_curve_json(curve: "LRFinderResult") -> dict[str, Any]:
    """The object that ``train --find-rate --json`` prints."""
    return asdict(curve)


def format_lr_curve(curve: "LRFinderResult") -> str:
    """Some of the curve as a table with bars, and the suggestion."""
    every = max(1, math.ceil(len(curve.rates) / _ROWS))
    most = max(curve.losses, default=1.0)
    rows = [
        (f"{rate:.1e}", f"{loss:.3f}", "#" * round(30 * loss / most))
        for rate, loss in list(zip(curve.rates, curve.losses, strict=True))[::every]
    ]
    why = "" if curve.clear else " (the methods' own: the loss did not fall enough to tell)"
    return f"{format_table(('rate', 'loss', ''), rows, right=(0, 1))}\n\nsuggested learning_rate  {curve.suggestion:g}{why}"
