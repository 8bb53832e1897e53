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
from studio.ui.shared.thumbnail_grid import THUMBNAIL_SIZE, ThumbnailDelegate, ThumbnailGrid
from studio.ui.style.formatting import format_percent
from studio.ui.style.theme import color
from studio.ui.widgets.painting import small_font
from studio.ui.widgets.table_model import ROW_ROLE, RowListModel

if TYPE_CHECKING:
    from studio.evaluation.predictions import Prediction

_CELL_SIZE = QSize(THUMBNAIL_SIZE + 16, THUMBNAIL_SIZE + 48)
_Index = QModelIndex | QPersistentModelIndex


class PredictionModel(RowListModel["Prediction"]):
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
        return self.labels[row.predicted]

    def description(self, row: "Prediction") -> str:
        """Its file, and what the run says of it."""
        return f"{row.path.name}\n{self.result_text(row)}"

    def result_text(self, row: "Prediction") -> str:
        """What the run says of an image, in a sentence."""
        found, share = self.labels[row.predicted], format_percent(row.predicted_probability)
        if row.is_correct:
            return tr("{label}, found with {share}", label=found, share=share)
        own = format_percent(row.label_probability)
        label = self.labels[row.label]
        return tr("{label} ({own}), taken for {found} ({share})", label=label, own=own, found=found, share=share)


class _PredictionDelegate(ThumbnailDelegate):
    """Draws an image, and below it its class and what it was taken for."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """Qt: draw one cell."""
        model = index.model()
        assert isinstance(model, PredictionModel)
        row: Prediction = index.data(ROW_ROLE)
        box = QRect(option.rect.left() + 8, option.rect.top() + 5, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
        self.draw_picture(painter, box, row.path)
        if option.state & (QStyle.StateFlag.State_HasFocus | QStyle.StateFlag.State_Selected):
            self.draw_frame(painter, box, "accent", 3)
        self._draw_caption(painter, box, model, row)

    def _draw_caption(self, painter: QPainter, box: QRect, model: PredictionModel, row: "Prediction") -> None:
        lines = [
            (
                f"{model.labels[row.predicted]}  {format_percent(row.predicted_probability, 0)}",
                "good" if row.is_correct else "bad",
            )
        ]
        lines.append((tr("is {label}", label=model.labels[row.label]), "muted"))
        painter.setFont(small_font())
        for number, (words, tint) in enumerate(lines):
            area = QRect(box.left(), box.bottom() + 3 + 17 * number, box.width() + 6, 18)
            painter.setPen(color(tint))
            cut = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideMiddle, area.width())
            painter.drawText(area, int(Qt.AlignmentFlag.AlignVCenter), cut)


class PredictionGrid(ThumbnailGrid):
    """Tells which image is looked at."""

    image_selected = Signal(object)

    def __init__(self, thumbnails: Thumbnails) -> None:
        images = PredictionModel()
        super().__init__(images, _PredictionDelegate, _CELL_SIZE, thumbnails)
        self.images = images
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setAccessibleName(tr("Images and what they were taken for"))
        self.selectionModel().currentChanged.connect(
            lambda now, before: self.image_selected.emit(now.data(ROW_ROLE)) if now.isValid() else None
        )
