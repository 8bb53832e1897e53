"""Accuracy against trainable parameters: a numbered point for each recipe, and the front that nothing beats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from studio.app.comparison.svg_charts import Scale, short
from studio.ui.i18n.language import tr
from studio.ui.shared.line_plot import PercentAxis, tint_axes
from studio.ui.style.formatting import percent
from studio.ui.style.theme import colour, theme
from studio.ui.widgets.components import Column, text
from studio.ui.widgets.painting import small_font

_AROUND = 1.5


@dataclass(frozen=True, slots=True)
class Spot:
    """One recipe: its number and colour, parameters, accuracy in [0, 1] and half of its confidence interval."""

    number: int
    label: str
    tint: str
    parameters: int
    accuracy: float
    spread: float = 0.0
    on_front: bool = False


class Pareto(QWidget):
    """The plot; hovering a point says what it is."""

    def __init__(self) -> None:
        super().__init__()
        self.spots: tuple[Spot, ...] = ()
        self.plot = pg.PlotWidget(background=None, axisItems={"left": PercentAxis("left")})
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setFrameShape(self.plot.Shape.NoFrame)
        self.plot.setMinimumHeight(120)
        self.plot.setAccessibleName(tr("Accuracy against trainable parameters"))
        self.item = self.plot.getPlotItem()
        self.item.setLogMode(x=True)
        # Accuracies, with room for half a point; and room for a name at the bottom, be there but one point.
        self.item.getViewBox().setLimits(yMin=-0.03, yMax=1.03, minXRange=2 * np.log10(_AROUND))
        self.item.getAxis("left").setWidth(56)
        self.item.getAxis("bottom").setHeight(24)
        self.front = self.item.plot([], [])
        self.bars = pg.ErrorBarItem(x=np.empty(0), y=np.empty(0))
        self.item.addItem(self.bars)
        self.points = pg.ScatterPlotItem(size=18, hoverable=True, tip=lambda x, y, data: data)
        self.item.addItem(self.points)
        self._labels: list[Any] = []
        words = tr("No run with as few parameters is better than those on the dashed line.")
        title = text(tr("Accuracy against parameters"), "heading")
        self.setLayout(Column(title, (self.plot, 1), text(words, "caption", wrap=True), gap=2))
        theme().changed.connect(self._draw)
        self._draw()

    def show_spots(self, spots: Sequence[Spot]) -> None:
        """Draw the points in place of those before."""
        self.spots = tuple(spots)
        self._draw()
        self.item.enableAutoRange()

    def _draw(self) -> None:
        """Draw in the colours of the theme."""
        tint_axes(self.plot)
        self.item.showGrid(x=True, y=True, alpha=0.12)
        self._mark_counts()
        x = np.log10([spot.parameters for spot in self.spots]) if self.spots else np.empty(0)
        y = np.array([spot.accuracy for spot in self.spots])
        spread = np.array([2 * spot.spread for spot in self.spots])
        self.bars.setData(x=x, y=y, height=spread, beam=0.01, pen=pg.mkPen(colour("faint"), width=1.5))
        brushes = [pg.mkBrush(colour(spot.tint)) for spot in self.spots]
        pens = [pg.mkPen(colour("text" if spot.on_front else "surface"), width=1.5) for spot in self.spots]
        self.points.setData(x=x, y=y, brush=brushes, pen=pens, data=[_words(spot) for spot in self.spots])
        front = sorted((spot for spot in self.spots if spot.on_front), key=lambda spot: spot.parameters)
        pen = pg.mkPen(colour("muted"), width=1.5, style=Qt.PenStyle.DashLine)
        self.front.setData([spot.parameters for spot in front], [spot.accuracy for spot in front], pen=pen)
        self._number(x, y)

    def _mark_counts(self) -> None:
        """Round numbers along the bottom, however few decades the points span."""
        if self.spots:
            counts = [spot.parameters for spot in self.spots]
            ticks = Scale(min(counts) / _AROUND, max(counts) * _AROUND, 0, 1, logarithmic=True).ticks()
            self.item.getAxis("bottom").setTicks([[(np.log10(tick), short(tick)) for tick in ticks]])

    def _number(self, x: Any, y: Any) -> None:
        for label in self._labels:
            self.item.removeItem(label)
        self._labels = []
        for spot, across, up in zip(self.spots, x, y, strict=True):
            label = pg.TextItem(str(spot.number), color=colour("on_accent"), anchor=(0.5, 0.5))
            label.setFont(small_font())
            label.setPos(across, up)
            self.item.addItem(label, ignoreBounds=True)
            self._labels.append(label)


def _words(spot: Spot) -> str:
    interval = f" ± {100 * spot.spread:.1f}" if spot.spread else ""
    return f"{spot.number}  {spot.label}\n{spot.parameters:,}, {percent(spot.accuracy)}{interval}"
