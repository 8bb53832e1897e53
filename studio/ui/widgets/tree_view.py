"""The layer tree's view: paints rows with their state, takes drops, and says what a drop would do."""

from typing import cast

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QKeyEvent,
    QPainter,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeView,
)

from studio.core.layers import Role
from studio.ui.figures import plural, short_count
from studio.ui.icons import pixmap
from studio.ui.language import tr
from studio.ui.models.layer_nodes import Node, RollUp, Spot, badge_text
from studio.ui.models.layer_tree import (
    ATTACHMENTS,
    DIM_ROLE,
    NAME,
    NODE_ROLE,
    PARAMETERS,
    TARGET_ROLE,
    TRAINABLE,
    TYPE,
    LayerTree,
    method_in,
)
from studio.ui.theme import colour
from studio.ui.widgets.painting import draw_badge, small_font, strong_font

ROW = 28
_GAP = 6
_ROOM_FOR = {TYPE: 600, PARAMETERS: 470}


class _RowPainter(QStyledItemDelegate):
    """Draws the cells: name with a glyph of its state, type and shape, numbers, badges or a roll-up."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Qt: rows of one height."""
        return QSize(80, ROW)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Qt: draw one cell."""
        node: Node = index.data(NODE_ROLE)
        model = cast(LayerTree, index.model())
        roll_up = model.roll_up(index.internalId())
        painter.save()
        target, is_open = index.data(TARGET_ROLE), bool(option.state & QStyle.StateFlag.State_Open)
        if target == "target" or (target == "holder" and not is_open):
            painter.fillRect(option.rect, colour("adapter_soft"))
        elif option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, colour("accent_soft"))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(option.rect, colour("hover"))
        if index.data(DIM_ROLE):
            painter.setOpacity(0.32)
        area = option.rect.adjusted(4, 0, -8, 0)
        column = index.column()
        if column == NAME:
            self._name(painter, area, node, roll_up, str(index.data()))
        elif column == TYPE:
            self._plain(painter, area, str(index.data()), "muted")
        elif column == PARAMETERS:
            self._number(painter, area, str(index.data()), "text")
        elif column == TRAINABLE:
            self._trainable(painter, area, node, roll_up, str(index.data()))
        elif column == ATTACHMENTS:
            self._attachments(painter, area, node, roll_up, model, bool(option.state & QStyle.StateFlag.State_Open))
        painter.restore()

    def _name(self, painter: QPainter, area: QRect, node: Node, roll_up: RollUp, words: str) -> None:
        icon, tint = state_glyph(node, roll_up)
        if icon:
            painter.drawPixmap(area.left(), area.center().y() - 7, pixmap(icon, tint, 15))
        strong = node.layer.role in (Role.BLOCK, Role.BACKBONE, Role.STAGE, Role.HEAD)
        painter.setFont(strong_font(painter.font()) if strong else painter.font())
        self._plain(painter, area.adjusted(22, 0, 0, 0), words, "text", small=False)

    def _plain(self, painter: QPainter, area: QRect, words: str, tint: str, small: bool = True) -> None:
        if small:
            painter.setFont(small_font(painter.font()))
        painter.setPen(colour(tint))
        cut = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, area.width())
        painter.drawText(area, int(Qt.AlignmentFlag.AlignVCenter), cut)

    def _number(self, painter: QPainter, area: QRect, words: str, tint: str) -> None:
        painter.setFont(small_font(painter.font()))
        painter.setPen(colour(tint))
        painter.drawText(area, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), words)

    def _trainable(self, painter: QPainter, area: QRect, node: Node, roll_up: RollUp, words: str) -> None:
        own = "head" if node.is_head or not roll_up.adapter_parameters else "adapter"
        tints = {tr("frozen"): "faint", tr("adapter"): "adapter"}
        self._number(painter, area, words, tints.get(words, own))

    def _attachments(
        self, painter: QPainter, area: QRect, node: Node, roll_up: RollUp, model: LayerTree, is_open: bool
    ) -> None:
        for badge in model.badges(node):
            strong, soft = ("adapter", "adapter_soft") if badge.enabled else ("faint", "frozen_soft")
            taken = draw_badge(painter, area, badge_text(badge, node.part), strong, soft)
            area = area.adjusted(taken + _GAP, 0, 0, 0)
            if area.width() < 30:
                return
        if node.is_head and roll_up.head_parameters:
            draw_badge(painter, area, tr("head, trained"), "head", "head_soft", "head")
        elif node.children and roll_up.badges and not is_open and not node.layer.slices:
            words = f"{plural(roll_up.badges, 'adapter')}, +{short_count(roll_up.adapter_parameters)}"
            self._plain(painter, area, words, "adapter")


def state_glyph(node: Node, roll_up: RollUp) -> tuple[str, str]:
    """Icon and colour of a row: adapted, trained head, holding trained layers, frozen, or none without parameters."""
    if node.is_head and roll_up.head_parameters:
        return "head", "head"
    if roll_up.badges:
        return "adapter", "adapter"
    if roll_up.head_parameters:
        return "trainable", "head"
    return ("frozen", "frozen") if node.layer.parameters else ("", "frozen")


class TreeView(QTreeView):
    """The layer tree. Drops go to the model; every hover, key and menu is told by signals."""

    hovered = Signal(object, object)
    drag_changed = Signal(object)
    attach_wanted = Signal()
    detach_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._painter = _RowPainter(self)
        self._over = QPoint()
        self.setItemDelegate(self._painter)
        self.setUniformRowHeights(True)
        self.setMouseTracking(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setAcceptDrops(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DropOnly)
        self.setDropIndicatorShown(False)
        self.setAutoExpandDelay(700)
        self.setIndentation(15)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setAccessibleName(tr("Layer tree"))
        self.setAllColumnsShowFocus(True)

    def show_columns(self) -> None:
        """Divide the width; to be called once the model is set."""
        header = self.header()
        header.setMinimumSectionSize(64)
        header.setStretchLastSection(True)
        header.setSectionsMovable(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column, width in {NAME: 190, TYPE: 142, PARAMETERS: 90, TRAINABLE: 74}.items():
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
            header.resizeSection(column, width)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: where there is little room, badges matter more than types and sizes."""
        super().resizeEvent(event)
        for column, room in _ROOM_FOR.items():
            self.setColumnHidden(column, self.viewport().width() < room)

    @property
    def tree(self) -> LayerTree:
        """The model."""
        return cast(LayerTree, self.model())

    def spots(self) -> tuple[Spot, ...]:
        """The selected places in the order of the tree; the backbone where none is."""
        rows = sorted(self.selectionModel().selectedRows(), key=lambda index: index.internalId())
        return tuple(self.tree.spot(index) for index in rows) or (Spot(),)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter attaches the chosen method, Delete removes."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.attach_wanted.emit()
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.detach_wanted.emit()
        else:
            super().keyPressEvent(event)

    # dropping: always on a row, or on the empty ground for the whole backbone

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: a drag comes in; dim what cannot take it."""
        if method := method_in(event.mimeData()):
            self.drag_changed.emit(method)
            event.acceptProposedAction()
            return
        super().dragEnterEvent(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Qt: say what a drop here would do."""
        super().dragMoveEvent(event)
        index = self._target(event.position().toPoint())
        data = event.mimeData()
        self.hovered.emit(method_in(data), self.tree.spot(index))
        if self.tree.canDropMimeData(data, Qt.DropAction.CopyAction, -1, -1, index):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
        else:
            event.ignore()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Qt: the drag has left."""
        super().dragLeaveEvent(event)
        self.hovered.emit("", Spot())

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: let the model attach."""
        index = self._target(event.position().toPoint())
        if self.tree.dropMimeData(event.mimeData(), Qt.DropAction.CopyAction, -1, -1, index):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
        self.setState(QAbstractItemView.State.NoState)
        self.drag_changed.emit("")

    def _target(self, position: QPoint) -> QModelIndex:
        index = self.indexAt(position)
        return index.siblingAtColumn(0) if index.isValid() else QModelIndex()
