"""Base of the thumbnail grids: cells of one size, scrolled by the pixel."""

from pathlib import Path

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, QPoint, QRect, QSize, Qt
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyledItemDelegate, QStyleOptionViewItem

from studio.ui.services.thumbnails import Thumbnails
from studio.ui.style.icons import pixmap
from studio.ui.style.theme import color

THUMBNAIL_SIZE = 88


class ThumbnailDelegate(QStyledItemDelegate):
    """Delegate that draws picture and frame of a cell; subclasses add the caption."""

    def __init__(self, thumbnails: Thumbnails, cell: QSize, parent: QListView) -> None:
        super().__init__(parent)
        self._thumbnails, self.cell = thumbnails, cell

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Qt: return the size of all cells."""
        return self.cell

    def draw_picture(self, painter: QPainter, box: QRect, path: Path) -> None:
        """Draw the image, a placeholder while it loads, or an icon if it cannot be read."""
        picture = self._thumbnails.pixmap(path)
        if picture is None or picture.isNull():
            painter.fillRect(box, color("sunken"))
            if picture is not None:
                painter.drawPixmap(box.center() - QPoint(10, 10), pixmap("error", "faint", 20))
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(box, picture)

    def draw_frame(self, painter: QPainter, box: QRect, color_name: str, width: int) -> None:
        """Draw a frame around the picture."""
        painter.setPen(QPen(color(color_name), width))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(box.adjusted(-1, -1, 0, 0))


class ThumbnailGrid(QListView):
    """Grid of images with as many columns as fit."""

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
