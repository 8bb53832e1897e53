"""Lines of the four plots over epochs, so that batch sizes compare."""

from collections.abc import Sequence

import numpy as np

from studio.ui.i18n.language import tr
from studio.ui.pages.train.run_history import Curve, RunHistory
from studio.ui.pages.train.run_model import RUN_COLORS
from studio.ui.shared.line_plot import PlotSeries


def series_for(metric: str, runs: Sequence[RunHistory]) -> tuple[PlotSeries, ...]:
    """Return the lines of the plot ``metric``: "loss", "accuracy", "rate" or "speed".

    A single run has one color for training and one for validation. Of several runs, each has its own color, which the
    list of runs shows too.
    """
    make = {"loss": _loss, "accuracy": _accuracy, "rate": _lr, "speed": _speed}[metric]
    if len(runs) == 1:
        pair = metric in ("loss", "accuracy")
        names = (tr("training"), tr("validation")) if pair else ("", "")
        return make(runs[0], names, ("accent", "adapter") if pair else ("second", "second"))
    colored = zip(runs, RUN_COLORS, strict=False)
    return tuple(line for history, tint in colored for line in make(history, ("", ""), (tint, tint)))


def lr_finder_series(learning_rates: Sequence[float], losses: Sequence[float], suggestion: float) -> PlotSeries:
    """Return the loss over learning rates, with a star at the suggested one."""
    x, y = np.array(learning_rates), np.array(losses)
    best = (suggestion, float(np.interp(suggestion, x, y))) if len(x) else None
    return PlotSeries("", "accent", x, y, emphasized=True, best_point=best)


def _loss(history: RunHistory, names: tuple[str, str], tints: tuple[str, str]) -> tuple[PlotSeries, ...]:
    best = _best_point(history, "loss")
    return (
        _series(history, history.training_loss, names[0], tints[0], smoothable=True),
        _series(history, history.validation_loss, names[1], tints[1], emphasized=True, best_point=best),
    )


def _accuracy(history: RunHistory, names: tuple[str, str], tints: tuple[str, str]) -> tuple[PlotSeries, ...]:
    validation = _series(
        history,
        history.validation_accuracy,
        names[1],
        tints[1],
        emphasized=True,
        best_point=_best_point(history, "accuracy"),
    )
    if not names[0]:  # of several runs, only validation accuracies: twice as many lines would be unreadable
        return (validation,)
    return (_series(history, history.training_accuracy, names[0], tints[0], emphasized=True), validation)


def _lr(history: RunHistory, names: tuple[str, str], tints: tuple[str, str]) -> tuple[PlotSeries, ...]:
    return (_series(history, history.learning_rate, names[1], tints[1]),)


def _speed(history: RunHistory, names: tuple[str, str], tints: tuple[str, str]) -> tuple[PlotSeries, ...]:
    return (_series(history, history.throughput, names[1], tints[1], smoothable=True),)


def _series(
    history: RunHistory,
    curve: Curve,
    name: str,
    color_name: str,
    emphasized: bool = False,
    smoothable: bool = False,
    best_point: tuple[float, float] | None = None,
) -> PlotSeries:
    x = np.array(curve.x) / history.steps_per_epoch
    return PlotSeries(
        name, color_name, x, np.array(curve.y), emphasized=emphasized, smoothable=smoothable, best_point=best_point
    )


def _best_point(history: RunHistory, metric: str) -> tuple[float, float] | None:
    best = history.best_evaluation
    return (best.step / history.steps_per_epoch, float(getattr(best, metric))) if best else None
