"""Images with what a run took them for, as a grid of any length."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import (
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QAbstractItemView, QStyle, QStyleOptionViewItem

from studio.ui.i18n.language import tr
from studio.ui.services.thumbnails import Thumbnails
from studio.ui.shared.thumbnail_grid import PICTURE, ThumbnailGrid, ThumbnailPainter
from studio.ui.style.formatting import percent
from studio.ui.style.theme import colour
from studio.ui.widgets.painting import small_font
from studio.ui.widgets.table_model import ROW_ROLE, RowList

if TYPE_CHECKING:
    from studio.evaluation.predictions import Prediction

_CELL = QSize(PICTURE + 16, PICTURE + 48)
_Index = QModelIndex | QPersistentModelIndex


class PredictionList(RowList["Prediction"]):
    """Images in the order given; ``labels`` are the names of the classes."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.labels: Sequence[str] = ()

    def show_rows(self, labels: Sequence[str], rows: "Sequence[Prediction]") -> None:
        """Replace the list."""
        self.beginResetModel()
        self.labels, self.rows = labels, rows
        self.endResetModel()

    def caption(self, row: "Prediction") -> str:
        """What it was taken for."""
        return self.labels[row.found]

    def description(self, row: "Prediction") -> str:
        """Its file, and what the run says of it."""
        return f"{row.path.name}\n{self.words(row)}"

    def words(self, row: "Prediction") -> str:
        """What the run says of an image, in a sentence."""
        found, share = self.labels[row.found], percent(row.found_share)
        if row.right:
            return tr("{label}, found with {share}", label=found, share=share)
        own = percent(row.label_share)
        label = self.labels[row.label]
        return tr("{label} ({own}), taken for {found} ({share})", label=label, own=own, found=found, share=share)


class _CellPainter(ThumbnailPainter):
    """Draws an image, and below it its class and what it was taken for."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """Qt: draw one cell."""
        model = index.model()
        assert isinstance(model, PredictionList)
        row: Prediction = index.data(ROW_ROLE)
        box = QRect(option.rect.left() + 8, option.rect.top() + 5, PICTURE, PICTURE)
        self.draw_picture(painter, box, row.path)
        if option.state & (QStyle.StateFlag.State_HasFocus | QStyle.StateFlag.State_Selected):
            self.draw_frame(painter, box, "accent", 3)
        self._draw_words(painter, box, model, row)

    def _draw_words(self, painter: QPainter, box: QRect, model: PredictionList, row: "Prediction") -> None:
        lines = [(f"{model.labels[row.found]}  {percent(row.found_share, 0)}", "good" if row.right else "bad")]
        lines.append((tr("is {label}", label=model.labels[row.label]), "muted"))
        painter.setFont(small_font())
        for number, (words, tint) in enumerate(lines):
            area = QRect(box.left(), box.bottom() + 3 + 17 * number, box.width() + 6, 18)
            painter.setPen(colour(tint))
            cut = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideMiddle, area.width())
            painter.drawText(area, int(Qt.AlignmentFlag.AlignVCenter), cut)


class PredictionGrid(ThumbnailGrid):
    """Tells which image is looked at."""

    looked_at = Signal(object)

    def __init__(self, thumbnails: Thumbnails) -> None:
        images = PredictionList()
        super().__init__(images, _CellPainter, _CELL, thumbnails)
        self.images = images
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setAccessibleName(tr("Images and what they were taken for"))
        self.selectionModel().currentChanged.connect(
            lambda now, before: self.looked_at.emit(now.data(ROW_ROLE)) if now.isValid() else None
        )
