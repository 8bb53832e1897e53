"""Grid of images with the predictions of a run."""

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
        """Replace labels and rows."""
        self.beginResetModel()
        self.labels, self.rows = labels, rows
        self.endResetModel()

    def caption(self, row: "Prediction") -> str:
        """Return the predicted class."""
        return self.labels[row.predicted]

    def description(self, row: "Prediction") -> str:
        """Return file name and prediction."""
        return f"{row.path.name}\n{self.result_text(row)}"

    def result_text(self, row: "Prediction") -> str:
        """Return the prediction of an image as a text."""
        predicted, share = self.labels[row.predicted], format_percent(row.predicted_probability)
        if row.is_correct:
            return tr("{label}, predicted with {share}", label=predicted, share=share)
        own, label = format_percent(row.label_probability), self.labels[row.label]
        return tr("{label} ({own}), predicted as {other} ({share})", label=label, own=own, other=predicted, share=share)


class _PredictionDelegate(ThumbnailDelegate):
    """Delegate that draws an image with its predicted and its true class."""

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
        lines.append((tr("true: {label}", label=model.labels[row.label]), "muted"))
        painter.setFont(small_font())
        for number, (text, tint) in enumerate(lines):
            area = QRect(box.left(), box.bottom() + 3 + 17 * number, box.width() + 6, 18)
            painter.setPen(color(tint))
            cut = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, area.width())
            painter.drawText(area, int(Qt.AlignmentFlag.AlignVCenter), cut)


class PredictionGrid(ThumbnailGrid):
    """Grid of predictions; ``image_selected`` carries the row of the current image."""

    image_selected = Signal(object)

    def __init__(self, thumbnails: Thumbnails) -> None:
        images = PredictionModel()
        super().__init__(images, _PredictionDelegate, _CELL_SIZE, thumbnails)
        self.images = images
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setAccessibleName(tr("Images and predictions"))
        self.selectionModel().currentChanged.connect(
            lambda now, before: self.image_selected.emit(now.data(ROW_ROLE)) if now.isValid() else None
        )
