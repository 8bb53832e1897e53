"""What grids of thumbnails have in common: cells of one size, the picture in each, and scrolling by the pixel."""

from pathlib import Path

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, QPoint, QRect, QSize, Qt
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyledItemDelegate, QStyleOptionViewItem

from studio.ui.services.thumbnails import Thumbnails
from studio.ui.style.icons import pixmap
from studio.ui.style.theme import color

THUMBNAIL_SIZE = 88


class ThumbnailDelegate(QStyledItemDelegate):
    """Draws the picture of a cell and a frame around it; the words below are of the grid."""

    def __init__(self, thumbnails: Thumbnails, cell: QSize, parent: QListView) -> None:
        super().__init__(parent)
        self._thumbnails, self.cell = thumbnails, cell

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Qt: all cells are of one size."""
        return self.cell

    def draw_picture(self, painter: QPainter, box: QRect, path: Path) -> None:
        """Draw an image, a place for one that is still to come, or a sign where it cannot be read."""
        picture = self._thumbnails.pixmap(path)
        if picture is None or picture.isNull():
            painter.fillRect(box, color("sunken"))
            if picture is not None:
                painter.drawPixmap(box.center() - QPoint(10, 10), pixmap("error", "faint", 20))
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(box, picture)

    def draw_frame(self, painter: QPainter, box: QRect, color_name: str, width: int) -> None:
        """Draw a line around the picture."""
        painter.setPen(QPen(color(color_name), width))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(box.adjusted(-1, -1, 0, 0))


class ThumbnailGrid(QListView):
    """Images from left to right, in as many columns as there is room for."""

    def __init__(
        self, model: QAbstractItemModel, delegate: type[ThumbnailDelegate], cell: QSize, thumbnails: Thumbnails
    ) -> None:
        super().__init__()
        model.setParent(self)
        self.setModel(model)
        self.setItemDelegate(delegate(thumbnails, cell, self))
        thumbnails.loaded.connect(self.viewport().update)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(True)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setGridSize(cell)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
