"""A strip beside the layer tree: the whole network from top to bottom, and the part of it that is in view."""

from bisect import bisect_left

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QToolTip, QWidget

from studio.ui.i18n.language import tr
from studio.ui.pages.adapters.tree_view import TreeView
from studio.ui.services.tree_data import NodeRef
from studio.ui.style.theme import color

_WIDTH = 14


class Minimap(QWidget):
    """One line of pixels for each layer, or for several; ``node_pressed`` carries the place that is pressed."""

    node_pressed = Signal(object)

    def __init__(self, view: TreeView) -> None:
        super().__init__()
        self._view = view
        self._frozen_lines: list[str] = []
        self._frozen_lines_key = (0, 0)
        self.setFixedWidth(_WIDTH)
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(tr("The whole network at a glance"))
        model = view.layer_tree
        for signal in (model.repaint_needed, model.dataChanged, model.modelReset):
            signal.connect(lambda *_: self.update())
        view.verticalScrollBar().valueChanged.connect(lambda _: self.update())
        view.verticalScrollBar().rangeChanged.connect(lambda *_: self.update())

    def sizeHint(self) -> QSize:
        """Qt: as high as there is room."""
        return QSize(_WIDTH, 80)

    def _line_tints(self) -> list[str]:
        """The strongest mark of the layers that share a line of points, from top to bottom."""
        model, high = self._view.layer_tree, max(1, self.height())
        numbers = model.layer_numbers
        if self._frozen_lines_key != (id(numbers), high):
            self._frozen_lines = [""] * high
            for position, number in enumerate(numbers):
                if model.is_frozen(number):
                    self._frozen_lines[position * high // len(numbers)] = "frozen"
            self._frozen_lines_key = (id(numbers), high)
        lines = list(self._frozen_lines)
        for number, tint in model.highlighted_layers():
            lines[min(high - 1, self._layer_position(number) * high // len(numbers))] = tint
        return lines

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), color("ground"))
        if not self._view.layer_tree.layer_numbers:
            return
        lines, high = self._line_tints(), max(1.0, self.height() / len(self._view.layer_tree.layer_numbers))
        for top, state in enumerate(lines):
            if state:
                inset = 5 if state == "frozen" else 2
                painter.setOpacity(0.35 if state == "frozen" else 1.0)
                painter.fillRect(QRectF(inset, top, self.width() - 2 * inset, max(1.5, high - 1)), color(state))
        painter.setOpacity(1.0)
        painter.setPen(QPen(color("line_strong"), 1))
        painter.drawRoundedRect(self.visible_rect().adjusted(0, 0, -1, -1), 3, 3)
        painter.end()

    def visible_rect(self) -> QRect:
        """The part of the strip whose layers the tree shows at the moment."""
        bottom = self._view.indexAt(QPoint(4, self._view.viewport().height() - 2))
        first = self._layer_position(self._view.indexAt(QPoint(4, 2)).internalId())
        last = (
            self._layer_position(bottom.internalId()) if bottom.isValid() else len(self._view.layer_tree.layer_numbers)
        )
        scale = self.height() / max(1, len(self._view.layer_tree.layer_numbers))
        return QRect(0, round(first * scale), self.width(), max(8, round((last - first) * scale)))

    def _layer_position(self, number: int) -> int:
        """How many layers stand before the node with this number."""
        return bisect_left(self._view.layer_tree.layer_numbers, number)

    def ref_at(self, height: int) -> NodeRef:
        """The place that a height stands for."""
        numbers = self._view.layer_tree.layer_numbers
        if not numbers:
            return NodeRef()
        position = min(len(numbers) - 1, max(0, height * len(numbers) // max(1, self.height())))
        return self._view.layer_tree.ref_by_number(numbers[position])

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: go there."""
        self.node_pressed.emit(self.ref_at(round(event.position().y())))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Qt: go along while a button is held, and say which layer this is."""
        spot = self.ref_at(round(event.position().y()))
        if event.buttons():
            self.node_pressed.emit(spot)
        QToolTip.showText(event.globalPosition().toPoint(), spot.path or tr("backbone"), self)
