"""The list of classes, with a bar of the splits for each.

Images can be dropped on a class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import (
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QDropEvent, QPainter, QPen
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from studio.ui.i18n.language import tr
from studio.ui.pages.data.image_model import IMAGES_MIME
from studio.ui.pages.data.split_bar import draw_split_bar
from studio.ui.style.formatting import format_count
from studio.ui.style.theme import color
from studio.ui.widgets.table_model import ROW_ROLE, RowListModel

ALL_CLASSES = -1
_ROW_HEIGHT, _BAR_HEIGHT, _NUMBER_WIDTH = 40, 8, 70
_Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class and its number of images in each split.

    The first row stands for all classes.
    """

    name: str
    label: int
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """The number of images in all splits."""
        return sum(self.counts)


class _ClassModel(RowListModel[ClassRow]):
    """Classes in the order of the head's outputs, after the row for all of them."""

    def show_rows(self, rows: tuple[ClassRow, ...]) -> bool:
        """Replace the rows; return whether the classes are other than before."""
        new = [row.name for row in rows] != [row.name for row in self.rows]
        if new:
            self.beginResetModel()
        self.rows = rows
        if new:
            self.endResetModel()
        elif rows:
            self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
        return new

    @property
    def largest(self) -> int:
        """The number of images of the largest class."""
        return max((row.total for row in self.rows if row.label != ALL_CLASSES), default=0)

    def caption(self, row: ClassRow) -> str:
        """Return its name."""
        return row.name

    def description(self, row: ClassRow) -> str:
        """Return name and counts."""
        train, validation, test = map(format_count, row.counts)
        return tr(
            "{name}: {train} training, {validation} validation, {test} test",
            name=row.name,
            train=train,
            validation=validation,
            test=test,
        )

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """Qt: every row can be selected; images can be dropped on a class."""
        flag = Qt.ItemFlag
        if not index.isValid():
            return flag.NoItemFlags
        flags = flag.ItemIsEnabled | flag.ItemIsSelectable | flag.ItemNeverHasChildren
        return flags | flag.ItemIsDropEnabled if self.rows[index.row()].label != ALL_CLASSES else flags


class _ClassDelegate(QStyledItemDelegate):
    """Draws a class: name, number of images, and a bar of its splits."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        """Qt: all rows have one height."""
        return QSize(120, _ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """Qt: draw one row."""
        row: ClassRow = index.data(ROW_ROLE)
        view = option.widget
        assert isinstance(view, ClassList)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._draw_background(painter, option, view.drop_target == row.label and row.label != ALL_CLASSES)
        area = option.rect.adjusted(10, 5, -10, -6)
        middle = int(Qt.AlignmentFlag.AlignVCenter)
        painter.setPen(color("text"))
        name_area = QRect(area.left(), area.top(), area.width() - _NUMBER_WIDTH, 18)
        name = painter.fontMetrics().elidedText(row.name, Qt.TextElideMode.ElideMiddle, name_area.width())
        painter.drawText(name_area, middle, name)
        painter.setPen(color("muted"))
        number = QRect(area.right() - _NUMBER_WIDTH, area.top(), _NUMBER_WIDTH, 18)
        painter.drawText(number, middle | int(Qt.AlignmentFlag.AlignRight), format_count(row.total))
        bar = QRectF(area.left(), area.bottom() - _BAR_HEIGHT + 1, area.width(), _BAR_HEIGHT)
        draw_split_bar(painter, bar, row.counts, row.total if row.label == ALL_CLASSES else view.largest)
        painter.restore()

    def _draw_background(self, painter: QPainter, option: QStyleOptionViewItem, is_target: bool) -> None:
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        if not (chosen or hovered or is_target):
            return
        painter.setPen(QPen(color("accent"), 1) if is_target else Qt.PenStyle.NoPen)
        painter.setBrush(color("accent_soft" if chosen or is_target else "hover"))
        painter.drawRoundedRect(option.rect.adjusted(1, 1, -1, -1), 7, 7)


class ClassList(QListView):
    """``chosen`` carries a class or :data:`ALL_CLASSES`, ``dropped`` a class and data."""

    chosen = Signal(int)
    dropped = Signal(int, object)

    def __init__(self) -> None:
        super().__init__()
        self.drop_target = ALL_CLASSES
        self._model = _ClassModel(self)
        self.setModel(self._model)
        self.setItemDelegate(_ClassDelegate(self))
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setAcceptDrops(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setAccessibleName(tr("Classes"))
        self.selectionModel().currentChanged.connect(lambda now, before: self._emit_chosen(now))

    def show_classes(self, names: Sequence[str], counts: Sequence[tuple[int, ...]]) -> None:
        """Show classes with their counts by split.

        The selection stays while the classes are the same.
        """
        totals = tuple(sum(column) for column in zip(*counts, strict=True)) or (0, 0, 0)
        rows = [ClassRow(name, label, its) for label, (name, its) in enumerate(zip(names, counts, strict=True))]
        if self._model.show_rows((ClassRow(tr("All classes"), ALL_CLASSES, totals), *rows)):
            self.setCurrentIndex(self._model.index(0))

    @property
    def rows(self) -> Sequence[ClassRow]:
        """The classes shown, without the row for all of them."""
        return self._model.rows[1:]

    @property
    def largest(self) -> int:
        """The number of images of the largest class."""
        return self._model.largest

    @property
    def selected_label(self) -> int:
        """The selected class, or :data:`ALL_CLASSES`."""
        index = self.currentIndex()
        return index.data(ROW_ROLE).label if index.isValid() else ALL_CLASSES

    def select_class(self, label: int) -> None:
        """Select a class, or :data:`ALL_CLASSES`."""
        self.setCurrentIndex(self._model.index(label + 1))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: accept images."""
        if event.mimeData().hasFormat(IMAGES_MIME):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Qt: highlight the class below the pointer."""
        super().dragMoveEvent(event)  # scrolls when the pointer nears an edge
        self._set_drop_target(self._label_at(event.position().toPoint()))
        event.acceptProposedAction() if self.drop_target != ALL_CLASSES else event.ignore()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Qt: the drag has left."""
        self._set_drop_target(ALL_CLASSES)

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: emit the class and the dropped data."""
        label = self._label_at(event.position().toPoint())
        self._set_drop_target(ALL_CLASSES)
        if label != ALL_CLASSES:
            event.acceptProposedAction()
            self.dropped.emit(label, event.mimeData())

    def _label_at(self, at: QPoint) -> int:
        index = self.indexAt(at)
        return index.data(ROW_ROLE).label if index.isValid() else ALL_CLASSES

    def _set_drop_target(self, label: int) -> None:
        self.drop_target = label
        self.viewport().update()

    def _emit_chosen(self, now: QModelIndex) -> None:
        if now.isValid():
            self.chosen.emit(now.data(ROW_ROLE).label)
