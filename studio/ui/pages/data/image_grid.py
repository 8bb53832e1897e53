"""A grid of thumbnails of any length, to view, select and drag from."""

from functools import lru_cache
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QDrag, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import QAbstractItemView, QStyle, QStyleOptionViewItem

from studio.ui.i18n.language import tr, tr_n
from studio.ui.pages.data.image_model import ImageModel
from studio.ui.pages.data.split_bar import SPLIT_COLORS
from studio.ui.services.thumbnails import Thumbnails
from studio.ui.shared.thumbnail_grid import THUMBNAIL_SIZE, ThumbnailDelegate, ThumbnailGrid
from studio.ui.style.theme import color
from studio.ui.widgets.painting import drag_pixmap, small_font
from studio.ui.widgets.table_model import ROW_ROLE

if TYPE_CHECKING:
    from studio.data.dataset.index import ImageFile

_CELL_SIZE = QSize(THUMBNAIL_SIZE + 14, THUMBNAIL_SIZE + 32)


class _ImageDelegate(ThumbnailDelegate):
    """Draws an image, its class below it, and a dot in the color of its split."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Qt: draw one cell."""
        model = index.model()
        assert isinstance(model, ImageModel)
        row: ImageFile = index.data(ROW_ROLE)
        area = option.rect
        box = QRect(area.left() + (area.width() - THUMBNAIL_SIZE) // 2, area.top() + 5, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
        self.draw_picture(painter, box, model.file_path(row))
        if option.state & QStyle.StateFlag.State_Selected:
            self.draw_frame(painter, box, "accent", 3)
        elif option.state & QStyle.StateFlag.State_HasFocus:
            self.draw_frame(painter, box, "faint", 1)
        self._draw_caption(painter, box, model.label(row), row.split)

    def _draw_caption(self, painter: QPainter, box: QRect, label: str, split: str) -> None:
        painter.setFont(small_font())
        painter.setPen(color("muted"))
        below = QRect(box.left() + 11, box.bottom() + 3, box.width() - 11, 18)
        painter.drawText(below, int(Qt.AlignmentFlag.AlignVCenter), _elided(label or tr("excluded"), below.width()))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color(SPLIT_COLORS[split] if label else "line_strong"))
        painter.drawEllipse(QRect(box.left() + 1, below.center().y() - 2, 6, 6))


@lru_cache(maxsize=4096)
def _elided(text: str, width: int) -> str:
    return QFontMetrics(small_font()).elidedText(text, Qt.TextElideMode.ElideMiddle, width)


class ImageGrid(ThumbnailGrid):
    """Requests for the selected images: exclude (Delete), or a menu at a position."""

    exclude_requested = Signal()
    menu_requested = Signal(QPoint)
    image_opened = Signal(object)

    def __init__(self, thumbnails: Thumbnails) -> None:
        images = ImageModel()
        super().__init__(images, _ImageDelegate, _CELL_SIZE, thumbnails)
        self.images = images
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setDragEnabled(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(lambda at: self.menu_requested.emit(self.viewport().mapToGlobal(at)))
        self.setAccessibleName(tr("Images"))
        self.doubleClicked.connect(lambda index: self.image_opened.emit(self.images.file_path(index.data(ROW_ROLE))))

    @property
    def selected_images(self) -> "tuple[ImageFile, ...]":
        """The selected images in the order of the grid."""
        ranges = sorted((part.top(), part.bottom() + 1) for part in self.selectionModel().selection())  # type: ignore[attr-defined]
        return tuple(row for first, end in ranges for row in self.images.rows[first:end])

    @property
    def selected_count(self) -> int:
        """The number of selected images."""
        return sum(part.bottom() + 1 - part.top() for part in self.selectionModel().selection())  # type: ignore[attr-defined]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Delete excludes the selected images; Enter or the menu key opens the menu."""
        index = self.currentIndex()
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.selected_images:
            self.exclude_requested.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and index.isValid():
            self.menu_requested.emit(self.viewport().mapToGlobal(self.visualRect(index).center()))
        else:
            super().keyPressEvent(event)

    def startDrag(self, actions: Qt.DropAction) -> None:
        """Qt: carry the selected images, shown as their number."""
        indexes = self.selectedIndexes()
        if not indexes:
            return
        drag = QDrag(self)
        drag.setMimeData(self.images.mimeData(indexes))
        caption = tr_n("{n} image", "{n} images", len(indexes))
        drag.setPixmap(drag_pixmap(caption, self.devicePixelRatioF(), "data", "accent"))
        drag.setHotSpot(QPoint(-12, -8))
        drag.exec(Qt.DropAction.CopyAction)
