"""Live line plots; imports pyqtgraph, so import this with the first plot."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from studio.ui.shared.ema_smoothing import FloatArray, ema_smooth
from studio.ui.style.formatting import format_percent
from studio.ui.style.theme import color, theme
from studio.ui.widgets.components import HBox, VBox, text_label

_FEW_POINTS = 60
_FAINT_ALPHA = 70
_MIN_LOG = -300.0
_AXIS_STEPS = (1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
_MIN_HEIGHT = 96
_X_MARGIN = 0.02
_WHOLE_EPOCH_SPAN = 1.5


@dataclass(frozen=True, slots=True)
class PlotSeries:
    """One curve over epochs, with the position of its best point, if any.

    An ``emphasized`` curve is thicker and shows its points while they are few; a ``smoothable`` one is smoothed.
    """

    name: str
    color_name: str
    x: FloatArray
    y: FloatArray
    emphasized: bool = False
    smoothable: bool = False
    best_point: tuple[float, float] | None = None

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """Value that differs if the curve must be redrawn.

        Curves only grow, or restart from an earlier point.
        """
        last = (float(self.x[-1]), float(self.y[-1])) if len(self.x) else ()
        first = float(self.y[0]) if len(self.y) else 0.0
        return self.name, self.color_name, len(self.x), repr(last), repr(first), self.best_point


class _LogAxis(pg.AxisItem):
    """Axis that labels 1, 2 and 5 of each decade if it is logarithmic."""

    def logTickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """pyqtgraph: the labels of ticks, whose values are logarithms."""
        labels: list[str] = super().logTickStrings(values, scale, spacing)
        return [label if _digit(value) in (1, 2, 5) else "" for label, value in zip(labels, values, strict=True)]


class PercentAxis(pg.AxisItem):
    """Axis of shares in [0, 1], labeled as percentages."""

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """pyqtgraph: the labels of the ticks."""
        return [f"{100 * value:.4g} %" for value in values]


class _EpochAxis(pg.AxisItem):
    """Axis of epochs: if more than one is in view, only whole ones are labeled."""

    def tickSpacing(self, low: float, high: float, size: float) -> list[tuple[float, float]]:
        """pyqtgraph: the distances between ticks by level."""
        levels: list[tuple[float, float]] = super().tickSpacing(low, high, size)
        whole = [(step, 0.0) for step, _ in levels if step >= 1]
        return (whole or [(1.0, 0.0)] if high - low > _WHOLE_EPOCH_SPAN else levels)[:2]


def _digit(logarithm: float) -> int:
    return round(10 ** (logarithm - math.floor(logarithm + 1e-9)))


class _Swatch(QWidget):
    """Legend key of one line: a short stroke in its color."""

    def __init__(self, tint: str, width: int) -> None:
        super().__init__()
        self._tint, self._width = tint, width
        self.setFixedSize(16, 14)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.setPen(QPen(color(self._tint), self._width))
        painter.drawLine(0, 7, 16, 7)


class _SeriesItems:
    """Canvas items of one line: raw points (faint if smoothed), line, best point."""

    def __init__(self, item: Any) -> None:
        self.raw = item.plot([], [], connect="finite")
        self.main = item.plot([], [], connect="finite")
        self.best = item.plot([], [], pen=None, symbol="star", symbolSize=15)
        self.best.setZValue(10)
        self.series: PlotSeries | None = None

    def show(self, series: PlotSeries | None, weight: float) -> None:
        """Draw ``series``, smoothed by ``weight`` if it is smoothable; None clears."""
        self.series = series
        smooth = series is not None and series.smoothable and weight > 0
        for curve in (self.raw, self.main):
            curve.setVisible(series is not None)
        if series is None:
            self.best.setData([], [])
            return
        self.raw.setData(*((series.x, series.y) if smooth else ([], [])))
        few = series.emphasized and len(series.x) <= _FEW_POINTS
        self.main.setData(series.x, ema_smooth(series.y, weight) if smooth else series.y, symbol="o" if few else None)
        self.best.setData(*([value] for value in series.best_point)) if series.best_point else self.best.setData([], [])
        self.apply_colors()

    def apply_colors(self) -> None:
        """Apply the colors of the theme."""
        if self.series is None:
            return
        tint, few = color(self.series.color_name), len(self.series.x) <= _FEW_POINTS
        faint = QColor(tint)
        faint.setAlpha(_FAINT_ALPHA)
        self.raw.setPen(pg.mkPen(faint, width=1))
        self.main.opts.update(symbolSize=6, symbolBrush=pg.mkBrush(tint), symbolPen=pg.mkPen(None))
        self.main.setPen(pg.mkPen(tint, width=2 if self.series.emphasized and few else 1))  # also redraws the points
        self.best.setSymbolBrush(pg.mkBrush(tint))
        self.best.setSymbolPen(pg.mkPen(color("surface"), width=1.5))


class LinePlot(QWidget):
    """Titled plot of a few lines over epochs.

    ``pointer_moved`` carries the epoch under the pointer, or None.

    Values are shown with ``digits`` significant digits, or ``as_percent`` if they are shares in [0, 1]. With the focus,
    the arrow keys move the pointer from point to point, and Escape removes it.
    """

    pointer_moved = Signal(object)

    def __init__(self, title: str, bottom: float | None = None, digits: int = 4, as_percent: bool = False) -> None:
        super().__init__()
        self.title, self._bottom, self._digits, self._as_percent = title, bottom, digits, as_percent
        self._weight = 0.0
        self._pointer_epoch: float | None = None
        self.log_y = self._log_x = False
        self._fingerprints: list[tuple[Any, ...]] = []
        self._follows_end, self._x_end = True, 0.0
        self.series_items: list[_SeriesItems] = []
        self.heading = text_label(title, "heading")
        self.legend = HBox(gap=6)
        self._legend_items: list[tuple[QWidget, Any]] = []
        self._build()
        theme().changed.connect(self._apply_colors)
        self._apply_colors()

    def _build(self) -> None:
        axes = {"left": (PercentAxis if self._as_percent else _LogAxis)("left"), "bottom": _EpochAxis("bottom")}
        self.plot = pg.PlotWidget(background=None, axisItems=axes)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setFrameShape(self.plot.Shape.NoFrame)
        self.plot.setMinimumHeight(_MIN_HEIGHT)
        self.plot.setAccessibleName(self.title)
        self.plot.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.plot.installEventFilter(self)
        self.plot.viewport().installEventFilter(self)
        self.item = self.plot.getPlotItem()
        self.item.setDownsampling(auto=True, mode="peak")
        self.item.setClipToView(True)
        self.item.setContentsMargins(0, 4, 8, 0)
        self.item.getAxis("bottom").setHeight(24)
        self.item.getAxis("left").setWidth(46)
        self.item.getViewBox().setLimits(xMin=0, minXRange=1e-3, yMin=self._min_y)
        self.pointer = pg.InfiniteLine(angle=90, movable=False)
        self.pointer.setVisible(False)
        self.item.addItem(self.pointer, ignoreBounds=True)
        self.item.getViewBox().sigRangeChangedManually.connect(lambda *_: setattr(self, "_follows_end", False))
        self.plot.scene().sigMouseMoved.connect(self._mouse_moved)
        self.setLayout(VBox(HBox(self.heading, None, self.legend, gap=6), (self.plot, 1), gap=2))

    # drawing

    def show_series(self, series: Sequence[PlotSeries]) -> None:
        """Replace the lines; skip the drawing if they are unchanged."""
        fingerprints = [line.fingerprint for line in series]
        if fingerprints != self._fingerprints:
            self._fingerprints = fingerprints
            self._draw(series)

    def _draw(self, series: Sequence[PlotSeries]) -> None:
        while len(self.series_items) < len(series):
            self.series_items.append(_SeriesItems(self.item))
        same = self._series_keys(series) == self._series_keys(self.series)
        for number, drawn in enumerate(self.series_items):
            drawn.show(series[number] if number < len(series) else None, self._weight)
        if not same:
            self._make_legend()
        self._follow_end()
        self._update_legend()

    def _follow_end(self) -> None:
        """Keep the end in view; the axis grows in steps, because its layout is slow."""
        if self._log_x or not self._follows_end:
            return
        end = _rounded_up(max((float(line.x[-1]) for line in self.series if len(line.x)), default=1.0))
        if end != self._x_end:
            self._x_end = end
            edge = _X_MARGIN * end  # so that a best point at either end is fully visible
            self.item.getViewBox().setLimits(xMin=-edge)
            self.item.getViewBox().setXRange(-edge, end + edge, padding=0)

    @staticmethod
    def _series_keys(series: Sequence[PlotSeries]) -> list[tuple[str, str]]:
        return [(line.name, line.color_name) for line in series]

    @property
    def series(self) -> list[PlotSeries]:
        """The lines that are drawn."""
        return [drawn.series for drawn in self.series_items if drawn.series is not None]

    def set_smoothing(self, weight: float) -> None:
        """Smooth the smoothable lines by ``weight`` in [0, 1)."""
        self._weight = weight
        self._draw(self.series)

    def set_log_y(self, on: bool) -> None:
        """Use a logarithmic or linear axis for the values."""
        self.log_y = on
        self.item.getViewBox().setLimits(yMin=self._min_y)
        self.item.setLogMode(y=on)
        self.show_all()

    def set_log_x(self) -> None:
        """Use a logarithmic bottom axis, for other quantities than epochs."""
        self._log_x = True
        self.item.getViewBox().setLimits(xMin=_MIN_LOG)
        self.item.setLogMode(x=True)
        self.item.enableAutoRange()

    @property
    def _min_y(self) -> float:
        """Lowest value that can be in view; its logarithm on a logarithmic axis."""
        return _MIN_LOG if self.log_y or self._bottom is None else self._bottom

    def show_all(self) -> None:
        """Reset the zoom, and keep the end in view."""
        self._follows_end, self._x_end = True, 0.0
        self.item.enableAutoRange(x=self._log_x, y=True)
        self._follow_end()

    def zoomed_range(self) -> list[list[float]] | None:
        """Return ``[[left, right], [bottom, top]]`` of the user's zoom, or None."""
        return None if self._follows_end else self.item.getViewBox().viewRange()

    def zoom_to(self, ranges: list[list[float]] | None) -> None:
        """Show ``ranges`` from :meth:`zoomed_range`; None changes nothing."""
        if ranges is not None:
            self._follows_end = False
            view = self.item.getViewBox()
            view.setLimits(xMin=-_X_MARGIN * max(1.0, ranges[0][1]))
            view.setRange(xRange=ranges[0], yRange=ranges[1], padding=0)

    # pointer

    def show_pointer_at(self, epoch: float | None) -> None:
        """Put the pointer at ``epoch`` and show the values there; None hides it."""
        self._pointer_epoch = epoch
        self.pointer.setVisible(epoch is not None)
        if epoch is not None:
            self.pointer.setPos(epoch)
        self._update_legend()

    def values_at_pointer(self) -> list[float | None]:
        """Return the value of each line of the legend at the pointer, or None."""
        return [
            None if self._pointer_epoch is None else _nearest_value(line, self._pointer_epoch)
            for line in self._legend_series
        ]

    @property
    def _legend_series(self) -> list[PlotSeries]:
        """Named lines; without names, the emphasized ones."""
        lines = self.series
        return lines if any(line.name for line in lines) else [one for one in lines if one.emphasized] or lines

    def _update_legend(self) -> None:
        for (swatch, label), line, value in zip(
            self._legend_items, self._legend_series, self.values_at_pointer(), strict=True
        ):
            text = line.name if value is None else f"{line.name} {self._format_value(value)}".strip()
            if label.text() != text:
                label.setText(text)
                for widget in (swatch, label):
                    widget.setVisible(bool(text))

    def _format_value(self, value: float) -> str:
        return format_percent(value) if self._as_percent else f"{value:.{self._digits}g}"

    def _mouse_moved(self, position: Any) -> None:
        view = self.item.getViewBox()
        if view.sceneBoundingRect().contains(position):
            self.pointer_moved.emit(float(view.mapSceneToView(position).x()))
        else:
            self.pointer_moved.emit(None)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: hide the pointer when the mouse leaves; move it with the arrow keys."""
        if event.type() == QEvent.Type.Leave:
            self.pointer_moved.emit(None)
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            return self._key_pressed(Qt.Key(event.key()))
        return super().eventFilter(watched, event)

    def _key_pressed(self, key: Qt.Key) -> bool:
        longest = max((line.x for line in self.series), key=len, default=np.empty(0))
        if key == Qt.Key.Key_Escape and self._pointer_epoch is not None:
            self.pointer_moved.emit(None)
            return True
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Home: -len(longest), Qt.Key.Key_End: len(longest)}
        if key not in steps or not len(longest):
            return False
        now = len(longest) - 1 if self._pointer_epoch is None else int(np.searchsorted(longest, self._pointer_epoch))
        self.pointer_moved.emit(float(longest[min(max(0, now + steps[key]), len(longest) - 1)]))
        return True

    # appearance

    def _make_legend(self) -> None:
        for swatch, label in self._legend_items:
            for widget in (swatch, label):
                self.legend.removeWidget(widget)
                widget.deleteLater()
        self._legend_items = []
        for line in self._legend_series:
            swatch, label = _Swatch(line.color_name, 2 if line.emphasized else 1), text_label(line.name, "caption")
            self._legend_items.append((swatch, label))
            for widget in (swatch, label):
                self.legend.addWidget(widget)
                widget.setVisible(bool(line.name))

    def _apply_colors(self) -> None:
        color_axes(self.plot)
        self.item.showGrid(x=False, y=True, alpha=0.12)
        self.pointer.setPen(pg.mkPen(color("faint"), width=1))
        for drawn in self.series_items:
            drawn.apply_colors()


def _rounded_up(value: float) -> float:
    """Return the next round number from ``value`` on: 1, 1.2, 1.5, 2, 2.5, 3, … 10."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(rung * power for rung in (1, *_AXIS_STEPS, 10, 12) if rung * power >= value * (1 - 1e-9))


def _nearest_value(series: PlotSeries, epoch: float) -> float | None:
    if not len(series.x) or not series.x[0] - 0.5 <= epoch <= series.x[-1] + 0.5:
        return None
    after = min(int(np.searchsorted(series.x, epoch)), len(series.x) - 1)
    before = max(0, after - 1)
    nearest = before if epoch - series.x[before] < series.x[after] - epoch else after
    return float(series.y[nearest])


def color_axes(plot: pg.PlotWidget) -> None:
    """Apply the colors of the theme to the background and axes of a plot."""
    plot.setBackground(color("surface"))
    for name in ("left", "bottom"):
        axis = plot.getPlotItem().getAxis(name)
        axis.setPen(pg.mkPen(color("line_strong")))
        axis.setTextPen(pg.mkPen(color("muted")))
        axis.setStyle(tickLength=-4, tickTextOffset=6)
