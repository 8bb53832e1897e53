"""A diagram of the place of a method's module at a layer."""

from collections.abc import Callable

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.ui.i18n.language import tr
from studio.ui.style.theme import color
from studio.ui.widgets.painting import small_font

_CENTER = int(Qt.AlignmentFlag.AlignCenter)


class PlacementDiagram(QWidget):
    """Draws one of :data:`studio.peft.method_info.DIAGRAMS` around a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.diagram, self.layer = "weights", ""
        self.setFixedHeight(86)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Qt: wide and low."""
        return QSize(240, 86)

    def show_diagram(self, diagram: str, layer: str) -> None:
        """Draw ``diagram`` at ``layer``."""
        self.diagram, self.layer = diagram, layer
        description = _description(self.diagram, layer or tr("the layer"))
        self.setAccessibleName(description)
        self.setToolTip(description)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(small_font(self.font()))
        _Drawing(painter, self.width(), self.height(), self.layer or tr("layer")).draw(self.diagram)
        painter.end()


def _description(diagram: str, layer: str) -> str:
    return {
        "weights": tr("{layer} itself is trained", layer=layer),
        "beside": tr("A low-rank branch beside {layer}", layer=layer),
        "scale": tr("A scale on the output of {layer}", layer=layer),
        "after": tr("A small network after {layer}", layer=layer),
        "parallel": tr("A small network beside {layer}", layer=layer),
        "tokens": tr("Trained tokens in front of {layer}", layer=layer),
        "prefix": tr("Trained keys and values in {layer}", layer=layer),
        "mix": tr("Several adapters mixed at {layer}", layer=layer),
    }[diagram]


class _Drawing:
    """One drawing: the data flows from left to right through the box of the layer."""

    def __init__(self, painter: QPainter, width: int, height: int, name: str) -> None:
        self._painter, self._name = painter, name
        self._right, self._middle = float(width - 6), 26.0
        self._lower = float(height - 20)
        self._box = QRectF(width * 0.5 - 46, self._middle - 17, 92, 34)

    def draw(self, diagram: str) -> None:
        drawings: dict[str, Callable[[], None]] = {
            "weights": lambda: self._layer(trained=True),
            "beside": lambda: self._branch(narrow=True),
            "parallel": lambda: self._branch(narrow=False),
            "after": self._after,
            "scale": self._scale,
            "tokens": self._tokens,
            "prefix": self._prefix,
            "mix": self._mix,
        }
        drawings[diagram]()

    def _layer(self, trained: bool = False) -> None:
        self._arrow(6, self._box.left())
        self._arrow(self._box.right(), self._right)
        self._rectangle(self._box, "adapter" if trained else "frozen", self._name)
        self._caption(tr("trained") if trained else tr("frozen"), "adapter" if trained else "frozen", self._box)

    def _branch(self, narrow: bool) -> None:
        """A branch from before the layer to a sum after it."""
        start, end = self._box.left() - 24, self._box.right() + 24
        self._arrow(6, self._box.left())
        self._line(QPointF(start, self._middle), QPointF(start, self._lower), QPointF(end, self._lower))
        self._line(QPointF(end, self._lower), QPointF(end, self._middle + 8))
        self._arrow(self._box.right(), self._right)
        self._rectangle(self._box, "frozen", self._name)
        self._circle(QPointF(end, self._middle), "+")
        center = self._box.center().x()
        names = ("A", "B") if narrow else (tr("down"), tr("up"))
        self._funnel(QRectF(center - 50, self._lower - 13, 44, 26), names[0], closing=True)
        self._funnel(QRectF(center + 6, self._lower - 13, 44, 26), names[1], closing=False)

    def _after(self) -> None:
        """The layer, then a small network with a skip connection."""
        self._box.moveLeft(self._box.left() - 58)
        end = self._box.right() + 134
        self._arrow(6, self._box.left())
        self._arrow(self._box.right(), self._right)
        self._rectangle(self._box, "frozen", self._name)
        left = self._box.right() + 14
        self._funnel(QRectF(left, self._middle - 13, 40, 26), tr("down"), closing=True)
        self._funnel(QRectF(left + 46, self._middle - 13, 40, 26), tr("up"), closing=False)
        skip = self._box.right() + 7
        self._line(QPointF(skip, self._middle), QPointF(skip, self._lower), QPointF(end - 20, self._lower))
        self._line(QPointF(end - 20, self._lower), QPointF(end - 20, self._middle + 8))
        self._circle(QPointF(end - 20, self._middle), "+")
        self._caption(tr("frozen"), "frozen", self._box)

    def _scale(self) -> None:
        self._layer()
        self._circle(QPointF(self._box.right() + 26, self._middle), "×", "adapter")

    def _tokens(self) -> None:
        """Trained tokens and those of the image, as input of the layer."""
        self._box.moveLeft(self._right - 120)
        for number in range(7):
            tint = "adapter" if number < 3 else "frozen"
            self._rectangle(QRectF(8 + number * 15, self._middle - 7, 12, 14), tint, "")
        self._arrow(8 + 7 * 15, self._box.left())
        self._arrow(self._box.right(), self._right)
        self._rectangle(self._box, "frozen", self._name)
        self._text(QRectF(2, self._middle + 10, 56, 16), tr("trained"), "adapter")
        self._text(QRectF(52, self._middle + 10, 66, 16), tr("image"), "frozen")

    def _prefix(self) -> None:
        """Keys and values with trained ones in front."""
        self._box = QRectF(self._right - 112, self._middle - 17, 92, 60)
        for row, name in enumerate("qkv"):
            top = self._box.top() + 4 + row * 19
            self._text(QRectF(6, top, 14, 14), name, "muted")
            for number in range(7):
                trained = row > 0 and number < 2
                if row > 0 or number > 1:
                    self._rectangle(QRectF(24 + number * 13, top, 10, 14), "adapter" if trained else "frozen", "")
            self._line(QPointF(24 + 7 * 13 + 2, top + 7), QPointF(self._box.left(), top + 7))
        self._rectangle(self._box, "frozen", self._name)

    def _mix(self) -> None:
        """Several adapters after the layer, weighted and summed."""
        self._box.moveLeft(12)
        end = QPointF(self._right - 34, self._middle + 8)
        for row in range(3):
            middle = self._middle - 14 + row * 22
            box = QRectF(self._box.right() + 24, middle - 8, 44, 16)
            self._line(QPointF(self._box.right(), self._middle), QPointF(box.left(), middle))
            self._line(QPointF(box.right(), middle), end)
            self._rectangle(box, "adapter", "")
        self._rectangle(self._box, "frozen", self._name)
        self._circle(end, "Σ", "adapter")

    # strokes

    def _line(self, *points: QPointF) -> None:
        self._painter.setPen(QPen(color("faint"), 1.3))
        self._painter.drawPolyline(QPolygonF(list(points)))

    def _arrow(self, start: float, end: float) -> None:
        self._line(QPointF(start, self._middle), QPointF(end - 1, self._middle))
        tip = QPointF(end - 1, self._middle)
        self._line(tip + QPointF(-5, -3.5), tip, tip + QPointF(-5, 3.5))

    def _rectangle(self, box: QRectF, color_name: str, text: str) -> None:
        self._painter.setPen(QPen(color(color_name), 1.3))
        self._painter.setBrush(color(f"{color_name}_soft"))
        self._painter.drawRoundedRect(box, min(6.0, box.width() / 4), min(6.0, box.width() / 4))
        elided = self._painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, round(box.width()) - 8)
        self._text(box, elided, "text")

    def _funnel(self, box: QRectF, text: str, closing: bool) -> None:
        left, right = (0, 6) if closing else (6, 0)
        corners = [
            QPointF(box.left(), box.top() + left), QPointF(box.right(), box.top() + right),
            QPointF(box.right(), box.bottom() - right), QPointF(box.left(), box.bottom() - left),
        ]  # fmt: skip
        self._painter.setPen(QPen(color("adapter"), 1.3))
        self._painter.setBrush(color("adapter_soft"))
        self._painter.drawPolygon(QPolygonF(corners))
        self._text(box, text, "adapter")

    def _circle(self, center: QPointF, text: str, color_name: str = "muted") -> None:
        self._painter.setPen(QPen(color(color_name), 1.3))
        self._painter.setBrush(color("surface" if color_name == "muted" else f"{color_name}_soft"))
        self._painter.drawEllipse(center, 9, 9)
        self._text(QRectF(center.x() - 9, center.y() - 9.5, 18, 18), text, color_name)

    def _caption(self, text: str, color_name: str, box: QRectF) -> None:
        self._text(QRectF(box.left() - 20, box.bottom() + 2, box.width() + 40, 16), text, color_name)

    def _text(self, box: QRectF, text: str, color_name: str) -> None:
        self._painter.setPen(color(color_name))
        self._painter.drawText(box, _CENTER, text)
