"""Horizontal bars with a name and a number: how many images each class has."""

from collections.abc import Sequence

from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.ui.figures import count
from studio.ui.theme import colour

_ROW = 26
_NAME_LIMIT = 160
_NUMBER = 60


class Bars(QWidget):
    """One bar a row, all on the same scale; a row is drawn only while it is in view."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[tuple[str, int], ...] = ()
        self._name_width = 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setObjectName("scrolled")

    def show_rows(self, rows: Sequence[tuple[str, int]]) -> None:
        """Show ``rows`` of names and numbers."""
        self.rows = tuple(rows)
        self.setFixedHeight(max(1, len(self.rows)) * _ROW)
        widest = max((self.fontMetrics().horizontalAdvance(name) for name, _ in self.rows[:500]), default=0)
        self._name_width = min(_NAME_LIMIT, widest) + 16
        self.setAccessibleName(", ".join(f"{name}: {number}" for name, number in self.rows[:50]))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw the rows that are in view."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        largest = max((number for _, number in self.rows), default=1) or 1
        first, last = event.rect().top() // _ROW, event.rect().bottom() // _ROW
        for row in range(first, min(last + 1, len(self.rows))):
            self._draw(painter, row, largest)

    def _draw(self, painter: QPainter, row: int, largest: int) -> None:
        name, number = self.rows[row]
        top, middle = row * _ROW, int(Qt.AlignmentFlag.AlignVCenter)
        painter.setPen(colour("text"))
        cut = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, self._name_width - 12)
        painter.drawText(QRect(0, top, self._name_width - 12, _ROW), middle, cut)
        room = self.width() - self._name_width - _NUMBER
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("sunken"))
        painter.drawRoundedRect(QRectF(self._name_width, top + 8, room, 10), 4, 4)
        painter.setBrush(colour("accent"))
        painter.drawRoundedRect(QRectF(self._name_width, top + 8, max(6.0, room * number / largest), 10), 4, 4)
        painter.setPen(colour("muted"))
        area = QRect(self.width() - _NUMBER, top, _NUMBER - 4, _ROW)
        painter.drawText(area, middle | int(Qt.AlignmentFlag.AlignRight), count(number))
