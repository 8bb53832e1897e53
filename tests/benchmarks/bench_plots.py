"""Frame rate of the plots of a long run, and time to redraw one."""

import os
import time

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np

from tests.benchmarks.bench_window import application
from tests.benchmarks.harness import Measured, benchmark, best_seconds

POINTS, FRAMES, STEPS_PER_EPOCH = 1_000_000, 60, 1000
SMOOTHING = 0.6


def long_run() -> tuple:
    """Return a noisy training loss of :data:`POINTS` steps, and a validation loss once an epoch."""
    from studio.ui.shared.line_plot import PlotSeries

    x = np.arange(POINTS) / STEPS_PER_EPOCH
    y = np.exp(-x / 300) + 0.2 + np.random.default_rng(0).normal(0, 0.05, POINTS)
    sparse = slice(None, None, STEPS_PER_EPOCH)
    return (
        PlotSeries("training", "accent", x, y, smoothable=True),
        PlotSeries("validation", "adapter", x[sparse], y[sparse] + 0.1, emphasized=True, best_point=(900.0, 0.3)),
    )


def long_plot():
    """Return a visible plot of the long run."""
    from studio.ui.shared.line_plot import LinePlot

    application()
    plot = LinePlot("Loss", bottom=0)
    plot.resize(600, 300)
    plot.set_smoothing(SMOOTHING)
    plot.show_series(long_run())
    plot.show()
    application().processEvents()
    return plot


@benchmark("Frames a second while a plot of 1,000,000 points is panned", "frames", at_least=30)
def panning() -> Measured:
    """Measure at three zoom levels, raw and smoothed as on the page; the slowest counts."""
    plot = long_plot()
    rates = {f"{share:.0%} in view": frames(plot, share) for share in (1.0, 0.3, 0.01)}
    plot.close()
    return Measured(min(rates.values()), rates)


def frames(plot, share: float) -> float:
    view = plot.item.getViewBox()
    width = POINTS / STEPS_PER_EPOCH * share
    view.setXRange(0, width, padding=0)
    application().processEvents()
    start = time.process_time()
    for number in range(FRAMES):
        view.translateBy(x=width / FRAMES * (1 if number < FRAMES / 2 else -1))
        application().processEvents()
        plot.plot.viewport().repaint()
    return FRAMES / (time.process_time() - start)


@benchmark("Redraw a plot of 1,000,000 points, smoothed", "seconds", at_most=0.25)
def drawing() -> float:
    plot = long_plot()
    duration = best_seconds(lambda: plot.set_smoothing(SMOOTHING))
    plot.close()
    return duration
