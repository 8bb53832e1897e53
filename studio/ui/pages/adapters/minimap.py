"""The minimap beside the layer tree: the whole network, and the part in view."""

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
    """One line of pixels for one or more layers.

    ``node_pressed`` carries the pressed place.
    """

    node_pressed = Signal(object)

    def __init__(self, view: TreeView) -> None:
        super().__init__()
        self._view = view
        self._frozen_lines: list[str] = []
        self._frozen_lines_key = (0, 0)
        self.setFixedWidth(_WIDTH)
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(tr("Map of the network"))
        model = view.layer_tree
        for signal in (model.repaint_needed, model.dataChanged, model.modelReset):
            signal.connect(lambda *_: self.update())
        view.verticalScrollBar().valueChanged.connect(lambda _: self.update())
        view.verticalScrollBar().rangeChanged.connect(lambda *_: self.update())

    def sizeHint(self) -> QSize:
        """Qt: a narrow strip."""
        return QSize(_WIDTH, 80)

    def _line_tints(self) -> list[str]:
        """Return the strongest tint of each line of pixels, from top to bottom."""
        model, height = self._view.layer_tree, max(1, self.height())
        numbers = model.layer_numbers
        if self._frozen_lines_key != (id(numbers), height):
            self._frozen_lines = [""] * height
            for position, number in enumerate(numbers):
                if model.is_frozen(number):
                    self._frozen_lines[position * height // len(numbers)] = "frozen"
            self._frozen_lines_key = (id(numbers), height)
        lines = list(self._frozen_lines)
        for number, tint in model.highlighted_layers():
            lines[min(height - 1, self._layer_position(number) * height // len(numbers))] = tint
        return lines

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), color("ground"))
        if not self._view.layer_tree.layer_numbers:
            return
        line_height = max(1.0, self.height() / len(self._view.layer_tree.layer_numbers))
        for top, tint in enumerate(self._line_tints()):
            if tint:
                inset = 5 if tint == "frozen" else 2
                painter.setOpacity(0.35 if tint == "frozen" else 1.0)
                painter.fillRect(QRectF(inset, top, self.width() - 2 * inset, max(1.5, line_height - 1)), color(tint))
        painter.setOpacity(1.0)
        painter.setPen(QPen(color("line_strong"), 1))
        painter.drawRoundedRect(self.visible_rect().adjusted(0, 0, -1, -1), 3, 3)
        painter.end()

    def visible_rect(self) -> QRect:
        """Return the part of the strip whose layers are in view in the tree."""
        count = len(self._view.layer_tree.layer_numbers)
        bottom = self._view.indexAt(QPoint(4, self._view.viewport().height() - 2))
        first = self._layer_position(self._view.indexAt(QPoint(4, 2)).internalId())
        last = self._layer_position(bottom.internalId()) if bottom.isValid() else count
        scale = self.height() / max(1, count)
        return QRect(0, round(first * scale), self.width(), max(8, round((last - first) * scale)))

    def _layer_position(self, number: int) -> int:
        """Return the number of layers before the node with this number."""
        return bisect_left(self._view.layer_tree.layer_numbers, number)

    def ref_at(self, height: int) -> NodeRef:
        """Return the place at a height in pixels."""
        numbers = self._view.layer_tree.layer_numbers
        if not numbers:
            return NodeRef()
        position = min(len(numbers) - 1, max(0, height * len(numbers) // max(1, self.height())))
        return self._view.layer_tree.ref_by_number(numbers[position])

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: scroll the tree to the pressed place."""
        self.node_pressed.emit(self.ref_at(round(event.position().y())))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Qt: scroll along while a button is pressed, and show the path of the layer."""
        ref = self.ref_at(round(event.position().y()))
        if event.buttons():
            self.node_pressed.emit(ref)
        QToolTip.showText(event.globalPosition().toPoint(), ref.path or tr("backbone"), self)
