"""Accuracy over trainable parameters, a point per recipe, and the Pareto front."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from studio.app.comparison.scale import Scale
from studio.core.formatting import format_short_count
from studio.ui.i18n.language import tr
from studio.ui.shared.line_plot import PercentAxis, color_axes
from studio.ui.style.formatting import format_percent
from studio.ui.style.theme import color, theme
from studio.ui.widgets.components import VBox, text_label
from studio.ui.widgets.painting import small_font

_X_MARGIN_FACTOR = 1.5


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """A recipe in the plot: accuracy in [0, 1] and half-width of its interval."""

    number: int
    label: str
    color_name: str
    parameters: int
    accuracy: float
    halfwidth: float = 0.0
    on_front: bool = False


class ParetoPlot(QWidget):
    """Scatter plot with a tool tip for each point."""

    def __init__(self) -> None:
        super().__init__()
        self.recipe_points: tuple[ParetoPoint, ...] = ()
        self.plot = pg.PlotWidget(background=None, axisItems={"left": PercentAxis("left")})
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setFrameShape(self.plot.Shape.NoFrame)
        self.plot.setMinimumHeight(120)
        self.plot.setAccessibleName(tr("Accuracy over trainable parameters"))
        self.item = self.plot.getPlotItem()
        self.item.setLogMode(x=True)
        # Room for half a point at the top, and for one label at the bottom even with a single point.
        self.item.getViewBox().setLimits(yMin=-0.08, yMax=1.08, minXRange=2 * np.log10(_X_MARGIN_FACTOR))
        self.item.getAxis("left").setWidth(56)
        self.item.getAxis("bottom").setHeight(24)
        self.front = self.item.plot([], [])
        self.bars = pg.ErrorBarItem(x=np.empty(0), y=np.empty(0))
        self.item.addItem(self.bars)
        self.points = pg.ScatterPlotItem(size=18, hoverable=True, tip=lambda x, y, data: data)
        self.item.addItem(self.points)
        self._labels: list[Any] = []
        title = text_label(tr("Accuracy over parameters"), "heading")
        caption = tr("Pareto front (dashed): no run with as few parameters is more accurate.")
        self.setLayout(VBox(title, (self.plot, 1), text_label(caption, "caption", wrap=True), gap=2))
        theme().changed.connect(self._draw)
        self._draw()

    def show_points(self, points: Sequence[ParetoPoint]) -> None:
        """Replace the points."""
        self.recipe_points = tuple(points)
        self._draw()
        self.item.enableAutoRange()

    def _draw(self) -> None:
        """Draw in the colors of the theme."""
        color_axes(self.plot)
        self.item.showGrid(x=True, y=True, alpha=0.12)
        self._set_count_ticks()
        x = np.log10([point.parameters for point in self.recipe_points]) if self.recipe_points else np.empty(0)
        y = np.array([point.accuracy for point in self.recipe_points])
        spread = np.array([2 * point.halfwidth for point in self.recipe_points])
        self.bars.setData(x=x, y=y, height=spread, beam=0.01, pen=pg.mkPen(color("faint"), width=1.5))
        brushes = [pg.mkBrush(color(point.color_name)) for point in self.recipe_points]
        pens = [pg.mkPen(color("text" if point.on_front else "surface"), width=1.5) for point in self.recipe_points]
        self.points.setData(
            x=x, y=y, brush=brushes, pen=pens, data=[_point_text(point) for point in self.recipe_points]
        )
        front = sorted((point for point in self.recipe_points if point.on_front), key=lambda point: point.parameters)
        pen = pg.mkPen(color("muted"), width=1.5, style=Qt.PenStyle.DashLine)
        self.front.setData([point.parameters for point in front], [point.accuracy for point in front], pen=pen)
        self._draw_numbers(x, y)

    def _set_count_ticks(self) -> None:
        """Label round numbers at the bottom, however few decades the points span."""
        if self.recipe_points:
            counts = [point.parameters for point in self.recipe_points]
            ticks = Scale(
                min(counts) / _X_MARGIN_FACTOR, max(counts) * _X_MARGIN_FACTOR, 0, 1, logarithmic=True
            ).ticks()
            self.item.getAxis("bottom").setTicks([[(np.log10(tick), format_short_count(tick)) for tick in ticks]])

    def _draw_numbers(self, x: Any, y: Any) -> None:
        for label in self._labels:
            self.item.removeItem(label)
        self._labels = []
        for point, across, up in zip(self.recipe_points, x, y, strict=True):
            label = pg.TextItem(str(point.number), color=color("on_accent"), anchor=(0.5, 0.5))
            label.setFont(small_font())
            label.setPos(across, up)
            self.item.addItem(label, ignoreBounds=True)
            self._labels.append(label)


def _point_text(point: ParetoPoint) -> str:
    interval = f" ± {100 * point.halfwidth:.1f}" if point.halfwidth else ""
    return f"{point.number}  {point.label}\n{point.parameters:,}, {format_percent(point.accuracy)}{interval}"
