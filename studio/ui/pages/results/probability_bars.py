"""Shares of a few classes, the largest first."""

from collections.abc import Sequence

from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.ui.style.formatting import percent
from studio.ui.style.theme import colour
from studio.ui.widgets.painting import small_font

_ROW = 20
_ROWS = 5
_NAME = 92
_NUMBER = 58


class ShareBars(QWidget):
    """A row for each class with its share in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[tuple[str, float], ...] = ()
        self.setFixedHeight(_ROWS * _ROW)
        self.setMinimumWidth(_NAME + _NUMBER + 40)

    def show_rows(self, rows: Sequence[tuple[str, float]]) -> None:
        """Show ``rows`` of names and shares."""
        self.rows = tuple(rows[:_ROWS])
        self.setAccessibleName(", ".join(f"{name} {percent(share)}" for name, share in self.rows))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(small_font(self.font()))
        room = self.width() - _NAME - _NUMBER
        for row, (name, share) in enumerate(self.rows):
            top = row * _ROW
            painter.setPen(colour("text"))
            cut = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, _NAME - 8)
            painter.drawText(QRect(0, top, _NAME - 8, _ROW), int(Qt.AlignmentFlag.AlignVCenter), cut)
            self._draw_bar(painter, QRectF(_NAME, top + 6, room, 8), share, first=row == 0)
            painter.setPen(colour("muted"))
            area = QRect(self.width() - _NUMBER, top, _NUMBER, _ROW)
            painter.drawText(area, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), percent(share))

    def _draw_bar(self, painter: QPainter, box: QRectF, share: float, first: bool) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("sunken"))
        painter.drawRoundedRect(box, 4, 4)
        painter.setBrush(colour("accent" if first else "faint"))
        painter.drawRoundedRect(QRectF(box.left(), box.top(), max(4.0, box.width() * share), box.height()), 4, 4)
