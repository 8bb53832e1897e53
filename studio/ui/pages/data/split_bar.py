"""A bar whose parts stand for the splits."""

from collections.abc import Sequence

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.ui.style.theme import colour

SIDE_COLOURS = {"train": "accent", "validation": "second", "test": "head"}
"""The colour that marks the images of each split, by theme token."""
_HEIGHT = 12


def draw_stack(painter: QPainter, area: QRectF, numbers: Sequence[int], whole: int) -> None:
    """Fill ``area`` from the left with a part for each split, in their order, where ``whole`` would fill it."""
    round_ = QPainterPath()
    round_.addRoundedRect(area, area.height() / 2, area.height() / 2)
    painter.save()
    painter.setClipPath(round_)
    painter.fillRect(area, colour("sunken"))
    left = area.left()
    for number, name in zip(numbers, SIDE_COLOURS.values(), strict=True):
        width = area.width() * number / max(1, whole)
        painter.fillRect(QRectF(left, area.top(), width, area.height()), colour(name))
        left += width
    painter.restore()


class StackBar(QWidget):
    """The images of all splits as one bar."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: tuple[int, ...] = (0,) * len(SIDE_COLOURS)
        self.setFixedHeight(_HEIGHT)

    def show_numbers(self, numbers: Sequence[int]) -> None:
        """Show the number of images of each split."""
        self.numbers = tuple(numbers)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        draw_stack(painter, QRectF(self.rect()), self.numbers, sum(self.numbers))
