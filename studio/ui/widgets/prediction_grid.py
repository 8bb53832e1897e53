"""Images with what a run took them for, as a grid of any length."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from studio.ui.figures import percent
from studio.ui.icons import pixmap
from studio.ui.language import tr
from studio.ui.models.table import ROW_ROLE
from studio.ui.theme import colour
from studio.ui.thumbnails import Thumbnails
from studio.ui.widgets.painting import small_font

if TYPE_CHECKING:
    from studio.evaluation.predictions import Prediction

PICTURE = 88
_CELL = QSize(PICTURE + 16, PICTURE + 48)
_Index = QModelIndex | QPersistentModelIndex


class PredictionList(QAbstractListModel):
    """Images in the order given; ``labels`` are the names of the classes."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.labels: Sequence[str] = ()
        self.rows: Sequence[Prediction] = ()

    def show_rows(self, labels: Sequence[str], rows: "Sequence[Prediction]") -> None:
        """Replace the list."""
        self.beginResetModel()
        self.labels, self.rows = labels, rows
        self.endResetModel()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of images."""
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: what it was taken for, all of it in words, and the row itself."""
        if not index.isValid():
            return None
        row = self.rows[index.row()]
        if role == ROW_ROLE:
            return row
        if role == Qt.ItemDataRole.DisplayRole:
            return self.labels[row.found]
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return f"{row.path.name}\n{self.words(row)}"
        return None

    def words(self, row: "Prediction") -> str:
        """What the run says of an image, in a sentence."""
        found, share = self.labels[row.found], percent(row.found_share)
        if row.right:
            return tr("{label}, found with {share}", label=found, share=share)
        own = percent(row.label_share)
        label = self.labels[row.label]
        return tr("{label} ({own}), taken for {found} ({share})", label=label, own=own, found=found, share=share)


class _CellPainter(QStyledItemDelegate):
    """Draws an image, and below it its class and what it was taken for."""

    def __init__(self, thumbnails: Thumbnails, parent: QListView) -> None:
        super().__init__(parent)
        self._thumbnails = thumbnails

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        """Qt: all cells are of one size."""
        return _CELL

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """Qt: draw one cell."""
        model = index.model()
        assert isinstance(model, PredictionList)
        row: Prediction = index.data(ROW_ROLE)
        box = QRect(option.rect.left() + 8, option.rect.top() + 5, PICTURE, PICTURE)
        picture = self._thumbnails.picture(row.path)
        if picture is None or picture.isNull():
            painter.fillRect(box, colour("sunken"))
            if picture is not None:
                painter.drawPixmap(box.center() - QPoint(10, 10), pixmap("error", "faint", 20))
        else:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawPixmap(box, picture)
        focus = QStyle.StateFlag.State_HasFocus | QStyle.StateFlag.State_Selected
        if option.state & focus:
            painter.setPen(QPen(colour("accent"), 3))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(box.adjusted(-1, -1, 0, 0))
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


class PredictionGrid(QListView):
    """Tells which image is looked at."""

    looked_at = Signal(object)

    def __init__(self, thumbnails: Thumbnails) -> None:
        super().__init__()
        self.images = PredictionList(self)
        self.setModel(self.images)
        self.setItemDelegate(_CellPainter(thumbnails, self))
        thumbnails.made.connect(self.viewport().update)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(True)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setGridSize(_CELL)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(tr("Images and what they were taken for"))
        self.selectionModel().currentChanged.connect(
            lambda now, before: self.looked_at.emit(now.data(ROW_ROLE)) if now.isValid() else None
        )
