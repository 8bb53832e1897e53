"""Live curves. pyqtgraph is imported when the first plot is made, not before."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from studio.ui.shared.ema_smoothing import Values, smoothed
from studio.ui.style.formatting import percent
from studio.ui.style.theme import colour, theme
from studio.ui.widgets.components import Column, Row, text

_FEW = 60
_FAINT = 70
_LOWEST = -300.0
_RUNGS = (1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
_LEAST_HEIGHT = 96
_EDGE = 0.02
_WHOLE = 1.5


@dataclass(frozen=True, slots=True)
class Line:
    """One curve over epochs: its name, its colour in the theme, its points, and the place of its best one, if any.

    A ``strong`` one is drawn thicker, and with its points while they are few; a ``noisy`` one is smoothed.
    """

    name: str
    tint: str
    x: Values
    y: Values
    strong: bool = False
    noisy: bool = False
    best: tuple[float, float] | None = None

    @property
    def look(self) -> tuple[Any, ...]:
        """What differs where another drawing is needed: curves only grow, or begin anew from an earlier point."""
        last = (float(self.x[-1]), float(self.y[-1])) if len(self.x) else ()
        first = float(self.y[0]) if len(self.y) else 0.0
        return self.name, self.tint, len(self.x), repr(last), repr(first), self.best


class _Axis(pg.AxisItem):
    """An axis that, where it is logarithmic, names 1, 2 and 5 of each decade: nine names would overlap."""

    def logTickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """pyqtgraph: the names of ticks, which come as logarithms."""
        words: list[str] = super().logTickStrings(values, scale, spacing)
        return [word if _digit(value) in (1, 2, 5) else "" for word, value in zip(words, values, strict=True)]


class PercentAxis(pg.AxisItem):
    """An axis of shares in [0, 1], named as percentages."""

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """pyqtgraph: the words at the ticks."""
        return [f"{100 * value:.4g} %" for value in values]


class _Epochs(pg.AxisItem):
    """An axis over epochs: once more than one is in view, only whole ones are marked."""

    def tickSpacing(self, low: float, high: float, size: float) -> list[tuple[float, float]]:
        """pyqtgraph: the distances between ticks, in levels."""
        levels: list[tuple[float, float]] = super().tickSpacing(low, high, size)
        whole = [(step, 0.0) for step, _ in levels if step >= 1]
        return (whole or [(1.0, 0.0)] if high - low > _WHOLE else levels)[:2]


def _digit(logarithm: float) -> int:
    return round(10 ** (logarithm - math.floor(logarithm + 1e-9)))


class _Swatch(QWidget):
    """The key of one line: a short stroke in its colour."""

    def __init__(self, tint: str, width: int) -> None:
        super().__init__()
        self._tint, self._width = tint, width
        self.setFixedSize(16, 14)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.setPen(QPen(colour(self._tint), self._width))
        painter.drawLine(0, 7, 16, 7)


class _Drawn:
    """What stands for one line on the canvas: its raw points, faint where they are smoothed, and its best one."""

    def __init__(self, item: Any) -> None:
        self.raw = item.plot([], [], connect="finite")
        self.main = item.plot([], [], connect="finite")
        self.best = item.plot([], [], pen=None, symbol="star", symbolSize=15)
        self.best.setZValue(10)
        self.line: Line | None = None

    def show(self, line: Line | None, weight: float) -> None:
        """Draw ``line``, smoothed by ``weight`` where it is noisy; None clears."""
        self.line = line
        smooth = line is not None and line.noisy and weight > 0
        for part in (self.raw, self.main):
            part.setVisible(line is not None)
        if line is None:
            self.best.setData([], [])
            return
        self.raw.setData(*((line.x, line.y) if smooth else ([], [])))
        few = line.strong and len(line.x) <= _FEW
        self.main.setData(line.x, smoothed(line.y, weight) if smooth else line.y, symbol="o" if few else None)
        self.best.setData(*([value] for value in line.best)) if line.best else self.best.setData([], [])
        self.colour()

    def colour(self) -> None:
        """Take the colours of the theme."""
        if self.line is None:
            return
        tint, few = colour(self.line.tint), len(self.line.x) <= _FEW
        faint = QColor(tint)
        faint.setAlpha(_FAINT)
        self.raw.setPen(pg.mkPen(faint, width=1))
        self.main.opts.update(symbolSize=6, symbolBrush=pg.mkBrush(tint), symbolPen=pg.mkPen(None))
        self.main.setPen(pg.mkPen(tint, width=2 if self.line.strong and few else 1))  # which draws the points anew too
        self.best.setSymbolBrush(pg.mkBrush(tint))
        self.best.setSymbolPen(pg.mkPen(colour("surface"), width=1.5))


class Plot(QWidget):
    """A titled plot of a few lines over epochs. ``pointed`` carries the epoch under the pointer, or None.

    Values are named with ``digits`` significant digits, or, where they are ``shares`` in [0, 1], as percentages.

    With the focus, the arrow keys move the pointer from point to point, and Escape takes it away.
    """

    pointed = Signal(object)

    def __init__(self, title: str, bottom: float | None = None, digits: int = 4, shares: bool = False) -> None:
        super().__init__()
        self.title, self._bottom, self._digits, self._shares = title, bottom, digits, shares
        self._weight = 0.0
        self._at: float | None = None
        self.log = self._log_x = False
        self._looks: list[tuple[Any, ...]] = []
        self._follows, self._end = True, 0.0
        self.drawn: list[_Drawn] = []
        self.heading = text(title, "heading")
        self.legend = Row(gap=6)
        self._keys: list[tuple[QWidget, Any]] = []
        self._build()
        theme().changed.connect(self._colour)
        self._colour()

    def _build(self) -> None:
        axes = {"left": (PercentAxis if self._shares else _Axis)("left"), "bottom": _Epochs("bottom")}
        self.plot = pg.PlotWidget(background=None, axisItems=axes)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setFrameShape(self.plot.Shape.NoFrame)
        self.plot.setMinimumHeight(_LEAST_HEIGHT)
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
        self.item.getViewBox().setLimits(xMin=0, minXRange=1e-3, yMin=self._lowest)
        self.pointer = pg.InfiniteLine(angle=90, movable=False)
        self.pointer.setVisible(False)
        self.item.addItem(self.pointer, ignoreBounds=True)
        self.item.getViewBox().sigRangeChangedManually.connect(lambda *_: setattr(self, "_follows", False))
        self.plot.scene().sigMouseMoved.connect(self._moved)
        self.setLayout(Column(Row(self.heading, None, self.legend, gap=6), (self.plot, 1), gap=2))

    # drawing

    def show_lines(self, lines: Sequence[Line]) -> None:
        """Draw the lines in place of those before; nothing where they are the same."""
        looks = [line.look for line in lines]
        if looks != self._looks:
            self._looks = looks
            self._draw(lines)

    def _draw(self, lines: Sequence[Line]) -> None:
        while len(self.drawn) < len(lines):
            self.drawn.append(_Drawn(self.item))
        same = self._named(lines) == self._named(self.lines)
        for number, drawn in enumerate(self.drawn):
            drawn.show(lines[number] if number < len(lines) else None, self._weight)
        if not same:
            self._make_legend()
        self._follow()
        self._say()

    def _follow(self) -> None:
        """Keep the end in view. The axis grows in rounded steps: laying it out anew for each point takes longest."""
        if self._log_x or not self._follows:
            return
        end = _rounded_up(max((float(line.x[-1]) for line in self.lines if len(line.x)), default=1.0))
        if end != self._end:
            self._end = end
            edge = _EDGE * end  # the best point, which may be the first or the last, is to be seen whole
            self.item.getViewBox().setLimits(xMin=-edge)
            self.item.getViewBox().setXRange(-edge, end + edge, padding=0)

    @staticmethod
    def _named(lines: Sequence[Line]) -> list[tuple[str, str]]:
        return [(line.name, line.tint) for line in lines]

    @property
    def lines(self) -> list[Line]:
        """What is drawn."""
        return [drawn.line for drawn in self.drawn if drawn.line is not None]

    def smooth(self, weight: float) -> None:
        """Smooth noisy lines by ``weight`` in [0, 1)."""
        self._weight = weight
        self._draw(self.lines)

    def show_log(self, on: bool) -> None:
        """Draw the values over a logarithmic axis."""
        self.log = on
        self.item.getViewBox().setLimits(yMin=self._lowest)
        self.item.setLogMode(y=on)
        self.show_all()

    def show_log_x(self) -> None:
        """Draw over a logarithmic axis; for plots over something else than epochs."""
        self._log_x = True
        self.item.getViewBox().setLimits(xMin=_LOWEST)
        self.item.setLogMode(x=True)
        self.item.enableAutoRange()

    @property
    def _lowest(self) -> float:
        """The lowest value in view; over a logarithmic axis, of its logarithm."""
        return _LOWEST if self.log or self._bottom is None else self._bottom

    def show_all(self) -> None:
        """Bring everything into view, and keep it there."""
        self._follows, self._end = True, 0.0
        self.item.enableAutoRange(x=self._log_x, y=True)
        self._follow()

    # pointing

    def point_at(self, epoch: float | None) -> None:
        """Put the pointer at ``epoch`` and say the values there; None takes it away."""
        self._at = epoch
        self.pointer.setVisible(epoch is not None)
        if epoch is not None:
            self.pointer.setPos(epoch)
        self._say()

    def values(self) -> list[float | None]:
        """What each line of the legend is at the pointer; None where it has no point."""
        return [None if self._at is None else _nearest(line, self._at) for line in self._told]

    @property
    def _told(self) -> list[Line]:
        """Named lines; of lines without names, those that are not noise beside another of the same run."""
        lines = self.lines
        return lines if any(line.name for line in lines) else [one for one in lines if one.strong] or lines

    def _say(self) -> None:
        for (swatch, label), line, value in zip(self._keys, self._told, self.values(), strict=True):
            words = line.name if value is None else f"{line.name} {self._number(value)}".strip()
            if label.text() != words:
                label.setText(words)
                for part in (swatch, label):
                    part.setVisible(bool(words))

    def _number(self, value: float) -> str:
        return percent(value) if self._shares else f"{value:.{self._digits}g}"

    def _moved(self, position: Any) -> None:
        view = self.item.getViewBox()
        if view.sceneBoundingRect().contains(position):
            self.pointed.emit(float(view.mapSceneToView(position).x()))
        else:
            self.pointed.emit(None)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: the pointer leaves, or the arrow keys move it."""
        if event.type() == QEvent.Type.Leave:
            self.pointed.emit(None)
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            return self._pressed(Qt.Key(event.key()))
        return super().eventFilter(watched, event)

    def _pressed(self, key: Qt.Key) -> bool:
        longest = max((line.x for line in self.lines), key=len, default=np.empty(0))
        if key == Qt.Key.Key_Escape and self._at is not None:
            self.pointed.emit(None)
            return True
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Home: -len(longest), Qt.Key.Key_End: len(longest)}
        if key not in steps or not len(longest):
            return False
        now = len(longest) - 1 if self._at is None else int(np.searchsorted(longest, self._at))
        self.pointed.emit(float(longest[min(max(0, now + steps[key]), len(longest) - 1)]))
        return True

    # the look

    def _make_legend(self) -> None:
        for swatch, label in self._keys:
            for widget in (swatch, label):
                self.legend.removeWidget(widget)
                widget.deleteLater()
        self._keys = []
        for line in self._told:
            swatch, label = _Swatch(line.tint, 2 if line.strong else 1), text(line.name, "caption")
            self._keys.append((swatch, label))
            for part in (swatch, label):
                self.legend.addWidget(part)
                part.setVisible(bool(line.name))

    def _colour(self) -> None:
        tint_axes(self.plot)
        self.item.showGrid(x=False, y=True, alpha=0.12)
        self.pointer.setPen(pg.mkPen(colour("faint"), width=1))
        for drawn in self.drawn:
            drawn.colour()


def _rounded_up(value: float) -> float:
    """The next of 1, 2, 3, … 10, 12, 15, 20, … at ``value`` or above it, in each power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(rung * power for rung in (1, *_RUNGS, 10, 12) if rung * power >= value * (1 - 1e-9))


def _nearest(line: Line, epoch: float) -> float | None:
    if not len(line.x) or not line.x[0] - 0.5 <= epoch <= line.x[-1] + 0.5:
        return None
    after = min(int(np.searchsorted(line.x, epoch)), len(line.x) - 1)
    before = max(0, after - 1)
    nearest = before if epoch - line.x[before] < line.x[after] - epoch else after
    return float(line.y[nearest])


def tint_axes(plot: pg.PlotWidget) -> None:
    """Give ground and axes of a plot the colours of the theme."""
    plot.setBackground(colour("surface"))
    for name in ("left", "bottom"):
        axis = plot.getPlotItem().getAxis(name)
        axis.setPen(pg.mkPen(colour("line_strong")))
        axis.setTextPen(pg.mkPen(colour("muted")))
        axis.setStyle(tickLength=-4, tickTextOffset=6)
