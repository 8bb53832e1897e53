"""The learning rate finder's curve as text."""

import math
from typing import TYPE_CHECKING

from studio.cli.tables import Part, make_table

if TYPE_CHECKING:
    from studio.training.estimation.lr_finder import LRFinderResult

_ROWS = 16


def lr_curve_parts(curve: "LRFinderResult") -> tuple[Part, ...]:
    """Return some points of the curve as a table with bars, and the suggestion."""
    every = max(1, math.ceil(len(curve.rates) / _ROWS))
    largest = max(curve.losses, default=1.0)
    rows = [
        (f"{rate:.1e}", f"{loss:.3f}", "#" * round(30 * loss / largest))
        for rate, loss in list(zip(curve.rates, curve.losses, strict=True))[::every]
    ]
    reason = "" if curve.clear else " (default of the methods: the loss did not fall enough)"
    table = make_table(("learning rate", "loss", ""), rows, right=(0, 1))
    return table, f"suggested learning_rate  {curve.suggestion:g}{reason}"
