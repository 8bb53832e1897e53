"""From runs' histories to the lines of the four plots, over epochs, so that runs with other batch sizes compare."""

from collections.abc import Sequence

import numpy as np

from studio.ui.i18n.language import tr
from studio.ui.pages.train.run_history import Curve, History
from studio.ui.pages.train.run_model import TINTS
from studio.ui.shared.line_plot import Line


def lines(what: str, runs: Sequence[History]) -> tuple[Line, ...]:
    """The lines of the plot ``what``: loss, accuracy, rate or speed.

    One run has a colour for training and one for validation; of several, each has a colour of its own, and is named
    where runs are listed.
    """
    make = {"loss": _loss, "accuracy": _accuracy, "rate": _rate, "speed": _speed}[what]
    if len(runs) == 1:
        pair = what in ("loss", "accuracy")
        names = (tr("training"), tr("validation")) if pair else ("", "")
        return make(runs[0], names, ("accent", "adapter") if pair else ("second", "second"))
    several = zip(runs, TINTS, strict=False)
    return tuple(line for history, tint in several for line in make(history, ("", ""), (tint, tint)))


def rate_line(rates: Sequence[float], losses: Sequence[float], suggestion: float) -> Line:
    """The loss over learning rates, with a mark at the one that is suggested."""
    x, y = np.array(rates), np.array(losses)
    best = (suggestion, float(np.interp(suggestion, x, y))) if len(x) else None
    return Line("", "accent", x, y, strong=True, best=best)


def _loss(history: History, names: tuple[str, str], tints: tuple[str, str]) -> tuple[Line, ...]:
    best = _mark(history, "loss")
    return (
        _line(history, history.training_loss, names[0], tints[0], noisy=True),
        _line(history, history.validation_loss, names[1], tints[1], strong=True, best=best),
    )


def _accuracy(history: History, names: tuple[str, str], tints: tuple[str, str]) -> tuple[Line, ...]:
    validation = _line(
        history, history.validation_accuracy, names[1], tints[1], strong=True, best=_mark(history, "accuracy")
    )
    if not names[0]:  # of several runs, the accuracies in validation are enough to look at
        return (validation,)
    return (_line(history, history.training_accuracy, names[0], tints[0], strong=True), validation)


def _rate(history: History, names: tuple[str, str], tints: tuple[str, str]) -> tuple[Line, ...]:
    return (_line(history, history.learning_rate, names[1], tints[1]),)


def _speed(history: History, names: tuple[str, str], tints: tuple[str, str]) -> tuple[Line, ...]:
    return (_line(history, history.throughput, names[1], tints[1], noisy=True),)


def _line(
    history: History,
    curve: Curve,
    name: str,
    tint: str,
    strong: bool = False,
    noisy: bool = False,
    best: tuple[float, float] | None = None,
) -> Line:
    x = np.array(curve.x) / history.steps_per_epoch
    return Line(name, tint, x, np.array(curve.y), strong=strong, noisy=noisy, best=best)


def _mark(history: History, what: str) -> tuple[float, float] | None:
    best = history.best
    return (best.step / history.steps_per_epoch, float(getattr(best, what))) if best else None
