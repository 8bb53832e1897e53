"""A strip beside the layer tree: the whole network from top to bottom, and the part of it that is in view."""

from bisect import bisect_left

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QToolTip, QWidget

from studio.ui.i18n.language import tr
from studio.ui.pages.adapters.tree_view import TreeView
from studio.ui.services.tree_data import Spot
from studio.ui.style.theme import colour

_WIDE = 14


class Minimap(QWidget):
    """One line of pixels for each layer, or for several; ``wanted`` carries the place that is pressed."""

    wanted = Signal(object)

    def __init__(self, view: TreeView) -> None:
        super().__init__()
        self._view = view
        self._plain: list[str] = []
        self._plain_of = (0, 0)
        self.setFixedWidth(_WIDE)
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(tr("The whole network at a glance"))
        model = view.tree
        for signal in (model.painted_anew, model.dataChanged, model.modelReset):
            signal.connect(lambda *_: self.update())
        view.verticalScrollBar().valueChanged.connect(lambda _: self.update())
        view.verticalScrollBar().rangeChanged.connect(lambda *_: self.update())

    def sizeHint(self) -> QSize:
        """Qt: as high as there is room."""
        return QSize(_WIDE, 80)

    def _lines(self) -> list[str]:
        """The strongest mark of the layers that share a line of points, from top to bottom."""
        model, high = self._view.tree, max(1, self.height())
        numbers = model.layer_numbers
        if self._plain_of != (id(numbers), high):
            self._plain = [""] * high
            for position, number in enumerate(numbers):
                if model.is_frozen(number):
                    self._plain[position * high // len(numbers)] = "frozen"
            self._plain_of = (id(numbers), high)
        lines = list(self._plain)
        for number, tint in model.strong():
            lines[min(high - 1, self._position(number) * high // len(numbers))] = tint
        return lines

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), colour("ground"))
        if not self._view.tree.layer_numbers:
            return
        lines, high = self._lines(), max(1.0, self.height() / len(self._view.tree.layer_numbers))
        for top, state in enumerate(lines):
            if state:
                inset = 5 if state == "frozen" else 2
                painter.setOpacity(0.35 if state == "frozen" else 1.0)
                painter.fillRect(QRectF(inset, top, self.width() - 2 * inset, max(1.5, high - 1)), colour(state))
        painter.setOpacity(1.0)
        painter.setPen(QPen(colour("line_strong"), 1))
        painter.drawRoundedRect(self.in_view().adjusted(0, 0, -1, -1), 3, 3)
        painter.end()

    def in_view(self) -> QRect:
        """The part of the strip whose layers the tree shows at the moment."""
        bottom = self._view.indexAt(QPoint(4, self._view.viewport().height() - 2))
        first = self._position(self._view.indexAt(QPoint(4, 2)).internalId())
        last = self._position(bottom.internalId()) if bottom.isValid() else len(self._view.tree.layer_numbers)
        scale = self.height() / max(1, len(self._view.tree.layer_numbers))
        return QRect(0, round(first * scale), self.width(), max(8, round((last - first) * scale)))

    def _position(self, number: int) -> int:
        """How many layers stand before the node with this number."""
        return bisect_left(self._view.tree.layer_numbers, number)

    def spot_at(self, height: int) -> Spot:
        """The place that a height stands for."""
        numbers = self._view.tree.layer_numbers
        if not numbers:
            return Spot()
        position = min(len(numbers) - 1, max(0, height * len(numbers) // max(1, self.height())))
        return self._view.tree.spot_number(numbers[position])

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: go there."""
        self.wanted.emit(self.spot_at(round(event.position().y())))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Qt: go along while a button is held, and say which layer this is."""
        spot = self.spot_at(round(event.position().y()))
        if event.buttons():
            self.wanted.emit(spot)
        QToolTip.showText(event.globalPosition().toPoint(), spot.path or tr("backbone"), self)
