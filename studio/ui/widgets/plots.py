"""Live curves. pyqtgraph is imported when the first plot is made, not before."""

from typing import TYPE_CHECKING, Any

from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from studio.ui.language import tr
from studio.ui.theme import colour, theme
from studio.ui.widgets.parts import Column, Row, text

if TYPE_CHECKING:
    from studio.ui.history import Curve


_FEW = 60


class _Swatch(QWidget):
    """The key of one line: a short stroke in its colour."""

    def __init__(self, tint: str) -> None:
        super().__init__()
        self._tint = tint
        self.setFixedSize(16, 14)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.setPen(QPen(colour(self._tint), 2))
        painter.drawLine(0, 7, 16, 7)


class Plot(QWidget):
    """A titled plot of a few lines over steps.

    ``lines`` are a name, a colour of the theme, and whether its points are marked while they are few.
    """

    def __init__(self, title: str, lines: tuple[tuple[str, str, bool], ...], bottom: float | None = None) -> None:
        super().__init__()
        import pyqtgraph as pg

        self.title = title
        self._tints = [tint for _, tint, _ in lines]
        self._marked = [marked for _, _, marked in lines]
        self.plot = pg.PlotWidget(background=None)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setFrameShape(self.plot.Shape.NoFrame)
        self.plot.setMinimumHeight(110)
        item = self.plot.getPlotItem()
        item.setDownsampling(auto=True, mode="peak")
        item.setClipToView(True)
        item.setContentsMargins(0, 4, 8, 0)
        item.getAxis("bottom").setHeight(26)
        item.getViewBox().setLimits(xMin=0, minXRange=10, yMin=bottom)
        self.lines = [item.plot([], [], connect="finite", antialias=True) for _ in lines]
        key = [part for name, tint, _ in lines for part in (_Swatch(tint), text(name, "caption"))]
        legend = Row(text(title, "heading"), None, *(key if len(lines) > 1 else ()), gap=6)
        self.setLayout(Column(legend, (self.plot, 1), gap=2))
        self._values = text("", "caption")
        self.plot.scene().sigMouseMoved.connect(self._point)
        theme().changed.connect(self._colour)
        self._colour()

    def show_curves(self, *curves: "Curve") -> None:
        """Draw the curves; one with few points also shows its points."""
        for line, curve, tint, marked in zip(self.lines, curves, self._tints, self._marked, strict=True):
            mark = "o" if marked and len(curve.x) <= _FEW else None
            xs, ys = list(curve.x), list(curve.y)
            line.setData(xs, ys, symbol=mark, symbolSize=6, symbolBrush=colour(tint), symbolPen=None)

    def _point(self, position: Any) -> None:
        """Show the values under the pointer as the plot's tool tip."""
        item = self.plot.getPlotItem()
        if not item.sceneBoundingRect().contains(position):
            return
        x = item.getViewBox().mapSceneToView(position).x()
        words = [tr("step {n:,.0f}", n=x)]
        for line in self.lines:
            xs, ys = line.getOriginalDataset()
            if xs is not None and len(xs):
                nearest = (
                    min(range(len(xs)), key=lambda i: abs(xs[i] - x)) if len(xs) < 500 else int(xs.searchsorted(x))
                )
                words.append(f"{ys[min(nearest, len(ys) - 1)]:.4g}")
        self.plot.setToolTip("\n".join(words))

    def _colour(self) -> None:
        import pyqtgraph as pg

        self.plot.setBackground(colour("surface"))
        item = self.plot.getPlotItem()
        for name in ("left", "bottom"):
            axis = item.getAxis(name)
            axis.setPen(pg.mkPen(colour("line_strong")))
            axis.setTextPen(pg.mkPen(colour("muted")))
            axis.setStyle(tickLength=-4, tickTextOffset=6)
        item.showGrid(x=False, y=True, alpha=0.15)
        for line, tint in zip(self.lines, self._tints, strict=True):
            line.setPen(pg.mkPen(colour(tint), width=1 if tint == "accent" else 2))
            line.setSymbolBrush(colour(tint))
