"""Accuracy against trainable parameters: a numbered point for each recipe, and the front that nothing beats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from studio.app.comparison.svg_charts import Scale, short_count
from studio.ui.i18n.language import tr
from studio.ui.shared.line_plot import PercentAxis, color_axes
from studio.ui.style.formatting import format_percent
from studio.ui.style.theme import color, theme
from studio.ui.widgets.components import VBox, text_label
from studio.ui.widgets.painting import small_font

_X_MARGIN_FACTOR = 1.5


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """One recipe: its number and colour, parameters, accuracy in [0, 1] and half of its confidence interval."""

    number: int
    label: str
    color_name: str
    parameters: int
    accuracy: float
    halfwidth: float = 0.0
    on_front: bool = False


class ParetoPlot(QWidget):
    """The plot; hovering a point says what it is."""

    def __init__(self) -> None:
        super().__init__()
        self.recipe_points: tuple[ParetoPoint, ...] = ()
        self.plot = pg.PlotWidget(background=None, axisItems={"left": PercentAxis("left")})
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setFrameShape(self.plot.Shape.NoFrame)
        self.plot.setMinimumHeight(120)
        self.plot.setAccessibleName(tr("Accuracy against trainable parameters"))
        self.item = self.plot.getPlotItem()
        self.item.setLogMode(x=True)
        # Accuracies, with room for half a point; and room for a name at the bottom, be there but one point.
        self.item.getViewBox().setLimits(yMin=-0.03, yMax=1.03, minXRange=2 * np.log10(_X_MARGIN_FACTOR))
        self.item.getAxis("left").setWidth(56)
        self.item.getAxis("bottom").setHeight(24)
        self.front = self.item.plot([], [])
        self.bars = pg.ErrorBarItem(x=np.empty(0), y=np.empty(0))
        self.item.addItem(self.bars)
        self.points = pg.ScatterPlotItem(size=18, hoverable=True, tip=lambda x, y, data: data)
        self.item.addItem(self.points)
        self._labels: list[Any] = []
        words = tr("No run with as few parameters is better than those on the dashed line.")
        title = text_label(tr("Accuracy against parameters"), "heading")
        self.setLayout(VBox(title, (self.plot, 1), text_label(words, "caption", wrap=True), gap=2))
        theme().changed.connect(self._draw)
        self._draw()

    def show_points(self, points: Sequence[ParetoPoint]) -> None:
        """Draw the points in place of those before."""
        self.recipe_points = tuple(points)
        self._draw()
        self.item.enableAutoRange()

    def _draw(self) -> None:
        """Draw in the colours of the theme."""
        color_axes(self.plot)
        self.item.showGrid(x=True, y=True, alpha=0.12)
        self._set_count_ticks()
        x = np.log10([spot.parameters for spot in self.recipe_points]) if self.recipe_points else np.empty(0)
        y = np.array([spot.accuracy for spot in self.recipe_points])
        spread = np.array([2 * spot.halfwidth for spot in self.recipe_points])
        self.bars.setData(x=x, y=y, height=spread, beam=0.01, pen=pg.mkPen(color("faint"), width=1.5))
        brushes = [pg.mkBrush(color(spot.color_name)) for spot in self.recipe_points]
        pens = [pg.mkPen(color("text" if spot.on_front else "surface"), width=1.5) for spot in self.recipe_points]
        self.points.setData(x=x, y=y, brush=brushes, pen=pens, data=[_point_text(spot) for spot in self.recipe_points])
        front = sorted((spot for spot in self.recipe_points if spot.on_front), key=lambda spot: spot.parameters)
        pen = pg.mkPen(color("muted"), width=1.5, style=Qt.PenStyle.DashLine)
        self.front.setData([spot.parameters for spot in front], [spot.accuracy for spot in front], pen=pen)
        self._draw_numbers(x, y)

    def _set_count_ticks(self) -> None:
        """Round numbers along the bottom, however few decades the points span."""
        if self.recipe_points:
            counts = [spot.parameters for spot in self.recipe_points]
            ticks = Scale(
                min(counts) / _X_MARGIN_FACTOR, max(counts) * _X_MARGIN_FACTOR, 0, 1, logarithmic=True
            ).ticks()
            self.item.getAxis("bottom").setTicks([[(np.log10(tick), short_count(tick)) for tick in ticks]])

    def _draw_numbers(self, x: Any, y: Any) -> None:
        for label in self._labels:
            self.item.removeItem(label)
        self._labels = []
        for spot, across, up in zip(self.recipe_points, x, y, strict=True):
            label = pg.TextItem(str(spot.number), color=color("on_accent"), anchor=(0.5, 0.5))
            label.setFont(small_font())
            label.setPos(across, up)
            self.item.addItem(label, ignoreBounds=True)
            self._labels.append(label)


def _point_text(point: ParetoPoint) -> str:
    interval = f" ± {100 * point.halfwidth:.1f}" if point.halfwidth else ""
    return f"{point.number}  {point.label}\n{point.parameters:,}, {format_percent(point.accuracy)}{interval}"
