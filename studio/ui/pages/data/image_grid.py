"""A grid of thumbnails of any length, to look at, select and drag from."""

from functools import lru_cache
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QDrag, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import QAbstractItemView, QStyle, QStyleOptionViewItem

from studio.ui.i18n.language import tr
from studio.ui.pages.data.image_model import ImageList
from studio.ui.pages.data.split_bar import SIDE_COLOURS
from studio.ui.services.thumbnails import Thumbnails
from studio.ui.shared.thumbnail_grid import PICTURE, ThumbnailGrid, ThumbnailPainter
from studio.ui.style.theme import colour
from studio.ui.widgets.painting import ghost, small_font
from studio.ui.widgets.table_model import ROW_ROLE

if TYPE_CHECKING:
    from studio.data.dataset.index import ImageFile

_CELL = QSize(PICTURE + 14, PICTURE + 32)


class _CellPainter(ThumbnailPainter):
    """Draws an image, its class below it, and a dot in the colour of its split."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Qt: draw one cell."""
        model = index.model()
        assert isinstance(model, ImageList)
        row: ImageFile = index.data(ROW_ROLE)
        area = option.rect
        box = QRect(area.left() + (area.width() - PICTURE) // 2, area.top() + 5, PICTURE, PICTURE)
        self.draw_picture(painter, box, model.file(row))
        if option.state & QStyle.StateFlag.State_Selected:
            self.draw_frame(painter, box, "accent", 3)
        elif option.state & QStyle.StateFlag.State_HasFocus:
            self.draw_frame(painter, box, "faint", 1)
        self._draw_words(painter, box, model.label(row), row.split)

    def _draw_words(self, painter: QPainter, box: QRect, label: str, side: str) -> None:
        painter.setFont(small_font())
        painter.setPen(colour("muted"))
        below = QRect(box.left() + 11, box.bottom() + 3, box.width() - 11, 18)
        painter.drawText(below, int(Qt.AlignmentFlag.AlignVCenter), _cut(label or tr("not used"), below.width()))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour(SIDE_COLOURS[side] if label else "line_strong"))
        painter.drawEllipse(QRect(box.left() + 1, below.center().y() - 2, 6, 6))


@lru_cache(maxsize=4096)
def _cut(words: str, width: int) -> str:
    return QFontMetrics(small_font()).elidedText(words, Qt.TextElideMode.ElideMiddle, width)


class ImageGrid(ThumbnailGrid):
    """Tells what the user wants of the selected images: to take them out (Delete), or a menu at a place."""

    removal_wanted = Signal()
    menu_wanted = Signal(QPoint)
    looked_at = Signal(object)

    def __init__(self, thumbnails: Thumbnails) -> None:
        images = ImageList()
        super().__init__(images, _CellPainter, _CELL, thumbnails)
        self.images = images
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setDragEnabled(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(lambda at: self.menu_wanted.emit(self.viewport().mapToGlobal(at)))
        self.setAccessibleName(tr("Images"))
        self.doubleClicked.connect(lambda index: self.looked_at.emit(self.images.file(index.data(ROW_ROLE))))

    @property
    def chosen(self) -> "tuple[ImageFile, ...]":
        """The selected images in the order of the grid."""
        ranges = sorted((part.top(), part.bottom() + 1) for part in self.selectionModel().selection())
        return tuple(row for first, end in ranges for row in self.images.rows[first:end])

    @property
    def chosen_count(self) -> int:
        """How many images are selected."""
        return sum(part.bottom() + 1 - part.top() for part in self.selectionModel().selection())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Delete takes the selected images out; Enter or the menu key opens the menu."""
        index = self.currentIndex()
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.chosen:
            self.removal_wanted.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and index.isValid():
            self.menu_wanted.emit(self.viewport().mapToGlobal(self.visualRect(index).center()))
        else:
            super().keyPressEvent(event)

    def startDrag(self, actions: Qt.DropAction) -> None:
        """Qt: carry the selected images, shown as their number."""
        indexes = self.selectedIndexes()
        if not indexes:
            return
        drag = QDrag(self)
        drag.setMimeData(self.images.mimeData(indexes))
        words = tr("{n} images", n=len(indexes)) if len(indexes) > 1 else tr("1 image")
        drag.setPixmap(ghost(words, self.devicePixelRatioF(), "data", "accent"))
        drag.setHotSpot(QPoint(-12, -8))
        drag.exec(Qt.DropAction.CopyAction)
