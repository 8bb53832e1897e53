"""Confusion matrix: true classes down, predicted classes across."""

from collections.abc import Iterator, Sequence

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QToolTip, QWidget

from studio.ui.i18n.language import tr, tr_n
from studio.ui.style.theme import Tokens, color, theme
from studio.ui.widgets.painting import small_font

_MARGIN_LEFT = 96
_MARGIN_TOP = 44
_SMALLEST_WITH_NUMBERS = 20
_SMALLEST_WITH_GAPS = 8
_SHADES = 255
_STEPS = {
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
}


class ConfusionMatrix(QWidget):
    """Matrix of cells colored by their share of the true class.

    Correct predictions have one color, wrong ones another.

    ``chosen`` carries row and column of the cell that is clicked or reached with the arrow keys; None if it is clicked
    again, or for Escape.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.labels: tuple[str, ...] = ()
        self.counts: Sequence[Sequence[int]] = ()
        self._nonzero_cells: tuple[tuple[int, int, int, float], ...] = ()
        self._image_cache: tuple[Tokens, QImage] | None = None
        self.setMinimumSize(300, 260)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.selected_cell: tuple[int, int] | None = None
        self.setAccessibleName(tr("Confusion matrix"))

    def show_counts(self, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> None:
        """Show ``counts`` (true class, predicted class)."""
        self.labels, self.counts = tuple(labels), counts
        self._nonzero_cells, self._image_cache = tuple(_find_nonzero_cells(counts)), None
        self.selected_cell = None
        self.update()

    def select_cell(self, cell: tuple[int, int] | None) -> None:
        """Mark a cell without a signal."""
        self.selected_cell = cell
        self.update()

    def _choose_cell(self, cell: tuple[int, int] | None) -> None:
        self.select_cell(cell)
        self.setAccessibleName(
            tr("Confusion matrix: {cell}", cell=self.cell_text(*cell)) if cell else tr("Confusion matrix")
        )
        self.chosen.emit(cell)

    def _cell_size(self) -> float:
        room = min(self.width() - _MARGIN_LEFT - 8, self.height() - _MARGIN_TOP - 8)
        return max(0.1, min(72.0, room / max(1, len(self.labels))))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        if not self.labels:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(small_font(self.font()))
        cell = self._cell_size()
        self._draw_names(painter, cell)
        if cell < _SMALLEST_WITH_GAPS:
            side = cell * len(self.labels)
            painter.drawImage(QRectF(_MARGIN_LEFT, _MARGIN_TOP, side, side), self._matrix_image())
        else:
            self._draw_grid(painter, cell)
            for row, column, number, share in self._nonzero_cells:
                self._draw_cell(painter, QRectF(*self._cell_rect(row, column, cell)), number, share, row == column)
        if self.selected_cell:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(color("text"), 2))
            painter.drawRoundedRect(QRectF(*self._cell_rect(*self.selected_cell, cell)), 3, 3)

    def _cell_rect(self, row: int, column: int, cell: float) -> tuple[float, float, float, float]:
        return _MARGIN_LEFT + column * cell, _MARGIN_TOP + row * cell, cell, cell

    def _matrix_image(self) -> QImage:
        """Return an image of one pixel per cell, cached for up to a million cells."""
        tokens = theme().tokens
        if self._image_cache is None or self._image_cache[0] is not tokens:
            wrong, right = (_color_ramp(color("sunken"), color(name)) for name in ("bad", "accent"))
            image = QImage(len(self.labels), len(self.labels), QImage.Format.Format_RGB32)
            image.fill(color("sunken"))
            for row, column, _, share in self._nonzero_cells:
                image.setPixel(column, row, (right if row == column else wrong)[round(share * _SHADES)])
            self._image_cache = tokens, image
        return self._image_cache[1]

    def _draw_grid(self, painter: QPainter, cell: float) -> None:
        """Draw the empty cells as one square with lines."""
        side = cell * len(self.labels)
        painter.fillRect(QRectF(_MARGIN_LEFT, _MARGIN_TOP, side, side), color("sunken"))
        painter.setPen(QPen(color("surface"), 2))
        for number in range(len(self.labels) + 1):
            at = number * cell
            painter.drawLine(QPointF(_MARGIN_LEFT + at, _MARGIN_TOP), QPointF(_MARGIN_LEFT + at, _MARGIN_TOP + side))
            painter.drawLine(QPointF(_MARGIN_LEFT, _MARGIN_TOP + at), QPointF(_MARGIN_LEFT + side, _MARGIN_TOP + at))

    def _draw_cell(self, painter: QPainter, box: QRectF, number: int, share: float, right: bool) -> None:
        ink = _blend(color("sunken"), color("accent" if right else "bad"), share)
        inner = box.adjusted(1, 1, -1, -1)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ink)
        painter.drawRoundedRect(inner, 3, 3)
        if box.width() >= _SMALLEST_WITH_NUMBERS:
            painter.setPen(color("on_accent") if share > 0.5 else color("text"))
            painter.drawText(inner, int(Qt.AlignmentFlag.AlignCenter), str(number))

    def _draw_names(self, painter: QPainter, cell: float) -> None:
        middle, right = int(Qt.AlignmentFlag.AlignVCenter), int(Qt.AlignmentFlag.AlignRight)
        painter.setPen(color("muted"))
        painter.drawText(QRect(_MARGIN_LEFT, 0, 260, 18), middle, tr("Predicted class"))
        painter.drawText(QRect(0, 0, _MARGIN_LEFT - 12, 18), middle | right, tr("True class"))
        painter.setPen(color("text"))
        every = max(1, round(18 / cell + 0.49))
        metrics = painter.fontMetrics()
        for number, label in list(enumerate(self.labels))[::every]:
            left, top, _, _ = self._cell_rect(number, number, cell)
            name = metrics.elidedText(label, Qt.TextElideMode.ElideRight, _MARGIN_LEFT - 14)
            painter.drawText(QRectF(0, top, _MARGIN_LEFT - 12, max(cell, 14)), middle | right, name)
            across = metrics.elidedText(label, Qt.TextElideMode.ElideRight, int(cell * every) - 2)
            painter.drawText(
                QRectF(left, 22, cell * every, 20), int(Qt.AlignmentFlag.AlignHCenter), across
            ) if every == 1 else None

    def cell_at(self, position: QPointF) -> tuple[int, int] | None:
        """Return row and column under a point, or None."""
        cell = self._cell_size()
        column, row = int((position.x() - _MARGIN_LEFT) // cell), int((position.y() - _MARGIN_TOP) // cell)
        inside = 0 <= row < len(self.labels) and 0 <= column < len(self.labels)
        return (row, column) if inside else None

    def cell_text(self, row: int, column: int) -> str:
        """Return count, true class and predicted class of a cell as a text."""
        count, label = self.counts[row][column], self.labels[row]
        if row == column:
            return tr_n(
                "{n:,} {label} image predicted correctly",
                "{n:,} {label} images predicted correctly",
                count,
                label=label,
            )
        return tr_n(
            "{n:,} {label} image predicted as {other}",
            "{n:,} {label} images predicted as {other}",
            count,
            label=label,
            other=self.labels[column],
        )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: choose a cell."""
        cell = self.cell_at(event.position())
        if cell and event.button() == Qt.MouseButton.LeftButton:
            self._choose_cell(None if cell == self.selected_cell else cell)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: move from cell to cell with the arrow keys."""
        key, last = Qt.Key(event.key()), len(self.labels) - 1
        if key == Qt.Key.Key_Escape and self.selected_cell:
            self._choose_cell(None)
        elif key in _STEPS and self.labels:
            row, column = (a + b for a, b in zip(self.selected_cell or (0, 0), _STEPS[key], strict=True))
            self._choose_cell((min(max(row, 0), last), min(max(column, 0), last)) if self.selected_cell else (0, 0))
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """Qt: show a tool tip for each cell."""
        if isinstance(event, QHelpEvent):
            cell = self.cell_at(QPointF(event.pos()))
            if cell:
                QToolTip.showText(event.globalPos(), self.cell_text(*cell), self)
            return True
        return super().event(event)


def _find_nonzero_cells(counts: Sequence[Sequence[int]]) -> Iterator[tuple[int, int, int, float]]:
    """Yield row, column, count and share of the row of each cell that is not empty."""
    for row, numbers in enumerate(counts):
        total = sum(numbers)
        if total:
            yield from ((row, column, n, n / total) for column, n in enumerate(numbers) if n)


def _color_ramp(ground: QColor, ink: QColor) -> list[int]:
    """Return the colors of the shares from 0 to 1 in equal steps."""
    return [_blend(ground, ink, step / _SHADES).rgb() for step in range(_SHADES + 1)]


def _blend(ground: QColor, ink: QColor, share: float) -> QColor:
    """Return ``ground`` at 0 and ``ink`` at 1; every share above 0 is visible."""
    amount = 0 if share <= 0 else 0.18 + 0.82 * share
    pairs = ((ground.red(), ink.red()), (ground.green(), ink.green()), (ground.blue(), ink.blue()))
    return QColor(*(round(g + (i - g) * amount) for g, i in pairs))
