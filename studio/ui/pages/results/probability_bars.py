"""Bars of the probabilities of a few classes, the largest first."""

from collections.abc import Sequence

from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.ui.style.formatting import format_percent
from studio.ui.style.theme import color
from studio.ui.widgets.painting import small_font

_ROW_HEIGHT = 20
_MAX_ROWS = 5
_NAME_WIDTH = 92
_NUMBER_WIDTH = 58


class ProbabilityBars(QWidget):
    """One row for each class with its probability in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[tuple[str, float], ...] = ()
        self.setFixedHeight(_MAX_ROWS * _ROW_HEIGHT)
        self.setMinimumWidth(_NAME_WIDTH + _NUMBER_WIDTH + 40)

    def show_rows(self, rows: Sequence[tuple[str, float]]) -> None:
        """Show ``rows`` of class names and probabilities."""
        self.rows = tuple(rows[:_MAX_ROWS])
        self.setAccessibleName(", ".join(f"{name} {format_percent(share)}" for name, share in self.rows))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(small_font(self.font()))
        bar_width = self.width() - _NAME_WIDTH - _NUMBER_WIDTH
        for row, (name, share) in enumerate(self.rows):
            top = row * _ROW_HEIGHT
            painter.setPen(color("text"))
            cut = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, _NAME_WIDTH - 8)
            painter.drawText(QRect(0, top, _NAME_WIDTH - 8, _ROW_HEIGHT), int(Qt.AlignmentFlag.AlignVCenter), cut)
            self._draw_bar(painter, QRectF(_NAME_WIDTH, top + 6, bar_width, 8), share, first=row == 0)
            painter.setPen(color("muted"))
            area = QRect(self.width() - _NUMBER_WIDTH, top, _NUMBER_WIDTH, _ROW_HEIGHT)
            painter.drawText(
                area, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), format_percent(share)
            )

    def _draw_bar(self, painter: QPainter, box: QRectF, share: float, first: bool) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color("sunken"))
        painter.drawRoundedRect(box, 4, 4)
        painter.setBrush(color("accent" if first else "faint"))
        painter.drawRoundedRect(QRectF(box.left(), box.top(), max(4.0, box.width() * share), box.height()), 4, 4)
