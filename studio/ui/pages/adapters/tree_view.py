"""The view of the layer tree: accepts drops, and drags badges."""

from collections.abc import Callable
from typing import cast

from PySide6.QtCore import QEvent, QItemSelection, QItemSelectionModel, QModelIndex, QPoint, QRect, Qt, Signal
from PySide6.QtGui import (
    QDrag,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QFontMetrics,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QTreeView

from studio.ui.i18n.language import tr
from studio.ui.pages.adapters.annotations import badge_text
from studio.ui.pages.adapters.layer_tree_model import ATTACHMENTS, NAME, PARAMETERS, TRAINABLE, TYPE, LayerTree
from studio.ui.pages.adapters.tree_delegate import (
    LayerDelegate,
    area_after_tags,
    badge_boxes,
    cell_area,
    comparison_tags,
)
from studio.ui.services.drag_payload import DragPayload, LiftedAttachment, from_mime, to_mime
from studio.ui.services.tree_data import Badge, Node, NodeRef
from studio.ui.widgets.painting import badge_width, drag_pixmap, draw_badge, small_font, strong_font

_MIN_WIDTH_FOR = {TYPE: 600, PARAMETERS: 470}
_MIN_COLUMN_WIDTHS = {NAME: 150, TYPE: 110, PARAMETERS: 90, TRAINABLE: 78, ATTACHMENTS: 140}
_BADGE_RESERVE = 48
"""Additional width of the badges while types are shown, in pixels."""
_ICON_WIDTH = 22
_CELL_PADDING = 22
"""Horizontal padding of a cell and of the header, in pixels."""
_CTRL, _SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


class TreeView(QTreeView):
    """The layer tree; drops go to the model, hovers and keys are signals.

    A drop with Ctrl is for all layers of the kind, which ``same_kind`` returns. ``lift`` returns the attachment of
    a name at a place, None if there is none.
    """

    drag_moved = Signal(object, object)
    row_hovered = Signal(object)
    drag_changed = Signal(object)
    attach_requested = Signal(object)
    detach_requested = Signal()
    move_requested = Signal(object, object)
    edit_requested = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._delegate = LayerDelegate(self)
        self.same_kind: Callable[[tuple[NodeRef, ...]], tuple[NodeRef, ...]] = lambda refs: refs
        self.lift: Callable[[str, NodeRef], LiftedAttachment | None] = lambda name, ref: None
        self._pressed_badge: tuple[QPoint, Badge, NodeRef] | None = None
        self._hovered_ref = NodeRef()
        self._note, self._note_position = "", QPoint()
        self._needed_widths: dict[int, int] = {}
        self._fitting = self._user_sized = False
        self.setItemDelegate(self._delegate)
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

    def set_up_columns(self) -> None:
        """Set up the columns once the model is set."""
        header = self.header()
        header.setMinimumSectionSize(64)
        header.setStretchLastSection(True)
        header.setSectionsMovable(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column in (NAME, TYPE, PARAMETERS, TRAINABLE):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
        header.sectionResized.connect(self._resized)
        self.fit_columns()

    def fit_columns(self) -> None:
        """Fit the columns to the content of another tree."""
        names, types, number = self.layer_tree.widest_texts()
        small, strong = QFontMetrics(small_font()), QFontMetrics(strong_font())
        indent = self.indentation()
        name_widths = (indent * (depth + 1) + strong.horizontalAdvance(name) for depth, name in names)
        self._needed_widths = {
            NAME: max(name_widths, default=0) + _ICON_WIDTH + _CELL_PADDING,
            TYPE: max(map(small.horizontalAdvance, types), default=0) + _CELL_PADDING,
            PARAMETERS: small.horizontalAdvance(number) + _CELL_PADDING,
        }
        self._user_sized = False
        self._distribute_widths()

    def _distribute_widths(self) -> None:
        """Give the columns their width in the order numbers, names, types, badges."""
        self._fitting = True
        width = self.viewport().width()
        for column, needed in _MIN_WIDTH_FOR.items():
            self.setColumnHidden(column, width < needed)
        if not self._user_sized:
            self._resize_sections(width)
        self._fitting = False

    def _resize_sections(self, width: int) -> None:
        shown = [column for column in _MIN_COLUMN_WIDTHS if not self.isColumnHidden(column)]
        room = width - sum(_MIN_COLUMN_WIDTHS[column] for column in shown) - _BADGE_RESERVE * (TYPE in shown)
        for column in (PARAMETERS, NAME, TYPE):
            wanted = max(0, self._needed_widths[column] - _MIN_COLUMN_WIDTHS[column]) if column in shown else 0
            extra = min(wanted, max(0, room))
            self.header().resizeSection(column, _MIN_COLUMN_WIDTHS[column] + extra)
            room -= extra
        self.header().resizeSection(TRAINABLE, _MIN_COLUMN_WIDTHS[TRAINABLE])

    def _resized(self, column: int) -> None:
        """Keep the widths that the user has set until another tree is shown."""
        self._user_sized = self._user_sized or (column != ATTACHMENTS and not self._fitting)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: hide types and sizes in favor of badges if the view is narrow."""
        super().resizeEvent(event)
        if self._needed_widths:
            self._distribute_widths()

    @property
    def layer_tree(self) -> LayerTree:
        """The model."""
        return cast(LayerTree, self.model())

    def selected_refs(self) -> tuple[NodeRef, ...]:
        """Return the selected places in the order of the tree.

        Without a selection return the backbone.
        """
        rows = sorted(self.selectionModel().selectedRows(), key=lambda index: index.internalId())
        return tuple(self.layer_tree.ref(index) for index in rows) or (NodeRef(),)

    def select_rows(self, rows: list[QModelIndex]) -> None:
        """Select ``rows``, at least one, and scroll to the first."""
        flag = QItemSelectionModel.SelectionFlag
        self.selectionModel().setCurrentIndex(rows[0], flag.NoUpdate)
        selection = QItemSelection()
        for row in rows:
            selection.select(row, row)
        self.selectionModel().select(selection, flag.ClearAndSelect | flag.Rows)
        self.scrollTo(rows[0])

    def refs_at(self, position: QPoint) -> tuple[NodeRef, ...]:
        """Return the row at a position, the selection if it is in it, or the backbone."""
        index = self.indexAt(position)
        ref = self.layer_tree.ref(index)
        return self.selected_refs() if index.isValid() and ref in self.selected_refs() else (ref,)

    def badge_at(self, position: QPoint) -> tuple[Badge, NodeRef] | None:
        """Return the badge at a position in the viewport, with the place of its row."""
        index = self.indexAt(position)
        node = self.layer_tree.node(index)
        if node is None or index.column() != ATTACHMENTS:
            return None
        boxes = self._badge_boxes(index, node)
        return next(((badge, node.ref) for box, badge in boxes if box.contains(position)), None)

    def _badge_boxes(self, index: QModelIndex, node: Node) -> list[tuple[QRect, Badge]]:
        tags = comparison_tags(node, self.layer_tree, self.isExpanded(index.siblingAtColumn(0)))
        area = area_after_tags(cell_area(self.visualRect(index)), tags)
        return badge_boxes(area, self.layer_tree.badges(node), node.part)

    # keys and mouse buttons

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter attaches the selected method, with Ctrl and Shift to all of the kind.

        Delete removes.
        """
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.attach_requested.emit(event.modifiers() & _CTRL == _CTRL and event.modifiers() & _SHIFT == _SHIFT)
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.detach_requested.emit()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: remember a pressed badge, which may be dragged."""
        found = self.badge_at(event.position().toPoint()) if event.button() == Qt.MouseButton.LeftButton else None
        self._pressed_badge = (event.position().toPoint(), *found) if found else None
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Qt: forget the pressed badge."""
        self._pressed_badge = None
        super().mouseReleaseEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Qt: edit the attachment of a badge."""
        if found := self.badge_at(event.position().toPoint()):
            self.edit_requested.emit(found[0].attachment)
            return
        super().mouseDoubleClickEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Qt: drag the pressed badge, or emit the row below the pointer."""
        if self._pressed_badge is None:
            super().mouseMoveEvent(event)
            self._set_hovered(self.layer_tree.ref(self.indexAt(event.position().toPoint())))
            return
        start, badge, ref = self._pressed_badge
        if (event.position().toPoint() - start).manhattanLength() >= QApplication.startDragDistance():
            self._pressed_badge = None
            self._drag_badge(badge, ref)

    def leaveEvent(self, event: QEvent) -> None:
        """Qt: the pointer has left the rows."""
        super().leaveEvent(event)
        self._set_hovered(NodeRef())

    def _set_hovered(self, ref: NodeRef) -> None:
        if ref != self._hovered_ref:
            self._hovered_ref = ref
            self.row_hovered.emit(ref)

    def _drag_badge(self, badge: Badge, ref: NodeRef) -> None:
        lifted = self.lift(badge.attachment, ref)
        if lifted is None:
            return
        drag = QDrag(self)
        drag.setMimeData(to_mime(lifted))
        drag.setPixmap(drag_pixmap(badge_text(badge), self.devicePixelRatioF()))
        drag.setHotSpot(QPoint(-12, -8))
        self.drag_changed.emit(lifted)
        drag.exec(Qt.DropAction.CopyAction | Qt.DropAction.MoveAction, Qt.DropAction.CopyAction)
        self.show_note("")
        self.drag_changed.emit("")

    # the note beside the pointer: what a drop would do

    def show_note(self, text: str) -> None:
        """Show ``text`` beside the pointer during a drag over the tree.

        An empty text ends that.
        """
        self._note = text
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw the rows, and the note over them."""
        super().paintEvent(event)
        if not self._note:
            return
        painter = QPainter(self.viewport())
        width = badge_width(self._note, "")
        left = min(self._note_position.x() + 14, self.viewport().width() - width - 4)
        box = QRect(max(4, left), self._note_position.y() + 34, width, 22)
        draw_badge(painter, box, self._note, "adapter", "surface", icon="", outlined=True)
        painter.end()

    # drops on a row, on the selected rows, or below the rows for the whole backbone

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: accept a payload, and let the rows that do not support it be dimmed."""
        if payload := from_mime(event.mimeData()):
            self.drag_changed.emit(payload)
            event.acceptProposedAction()
            return
        super().dragEnterEvent(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Qt: show what a drop here would do."""
        super().dragMoveEvent(event)
        payload, refs = from_mime(event.mimeData()), self._target_refs(event)
        self._note_position = event.position().toPoint()
        self.drag_moved.emit(payload, refs)
        if self.layer_tree.accepts_drop(payload, refs):
            event.setDropAction(_drop_action(event, payload))
            event.accept()
        else:
            event.ignore()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Qt: the drag has left."""
        super().dragLeaveEvent(event)
        self.show_note("")
        self.drag_moved.emit("", (NodeRef(),))

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: attach through the model, or request a move."""
        payload, refs = from_mime(event.mimeData()), self._target_refs(event)
        self.show_note("")
        self.setState(QAbstractItemView.State.NoState)
        self.drag_changed.emit("")
        if not self.layer_tree.accepts_drop(payload, refs):
            return
        if isinstance(payload, LiftedAttachment) and event.modifiers() & _SHIFT:
            self.move_requested.emit(payload, refs)
        else:
            self.layer_tree.attach(payload, refs)
        event.setDropAction(_drop_action(event, payload))
        event.accept()

    def _target_refs(self, event: QDropEvent) -> tuple[NodeRef, ...]:
        refs = self.refs_at(event.position().toPoint())
        return self.same_kind(refs) or refs if event.modifiers() & _CTRL else refs


def _drop_action(event: QDropEvent, payload: DragPayload) -> Qt.DropAction:
    moves = isinstance(payload, LiftedAttachment) and event.modifiers() & _SHIFT
    return Qt.DropAction.MoveAction if moves else Qt.DropAction.CopyAction
