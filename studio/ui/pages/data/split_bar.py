"""A bar whose parts stand for the splits."""

from collections.abc import Sequence

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.ui.style.theme import color

SPLIT_COLORS = {"train": "accent", "validation": "second", "test": "head"}
"""The color that marks the images of each split, by theme token."""
_HEIGHT = 12


def draw_split_bar(painter: QPainter, area: QRectF, counts: Sequence[int], total: int) -> None:
    """Fill ``area`` from the left with a part for each split.

    ``total`` images fill all of it.
    """
    outline = QPainterPath()
    outline.addRoundedRect(area, area.height() / 2, area.height() / 2)
    painter.save()
    painter.setClipPath(outline)
    painter.fillRect(area, color("sunken"))
    left = area.left()
    for number, name in zip(counts, SPLIT_COLORS.values(), strict=True):
        width = area.width() * number / max(1, total)
        painter.fillRect(QRectF(left, area.top(), width, area.height()), color(name))
        left += width
    painter.restore()


class SplitBar(QWidget):
    """The images of all splits as one bar."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: tuple[int, ...] = (0,) * len(SPLIT_COLORS)
        self.setFixedHeight(_HEIGHT)

    def show_counts(self, counts: Sequence[int]) -> None:
        """Show the number of images of each split."""
        self.counts = tuple(counts)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        draw_split_bar(painter, QRectF(self.rect()), self.counts, sum(self.counts))
