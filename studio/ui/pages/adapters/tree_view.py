"""The layer tree's view: takes drops, lets badges be dragged, and says what a drop would do."""

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
"""Where types are shown, so much more for the badges."""
_ICON_WIDTH = 22
_CELL_PADDING = 22
"""What a cell leaves free around its words, those of the header included."""
_CTRL, _SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


class TreeView(QTreeView):
    """The layer tree. Drops go to the model; every hover, key and menu is told by signals.

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
        self.same_kind: Callable[[tuple[NodeRef, ...]], tuple[NodeRef, ...]] = lambda spots: spots
        self.lift: Callable[[str, NodeRef], LiftedAttachment | None] = lambda name, spot: None
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
        """Divide the width; to be called once the model is set."""
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
        """Make the columns as wide as another tree needs them."""
        names, kinds, number = self.layer_tree.widest_texts()
        small, strong = QFontMetrics(small_font()), QFontMetrics(strong_font())
        deep = self.indentation()
        name = max(
            (deep * (depth + 1) + _ICON_WIDTH + strong.horizontalAdvance(words) for depth, words in names), default=0
        )
        self._needed_widths = {
            NAME: name + _CELL_PADDING,
            TYPE: max(map(small.horizontalAdvance, kinds), default=0) + _CELL_PADDING,
            PARAMETERS: small.horizontalAdvance(number) + _CELL_PADDING,
        }
        self._user_sized = False
        self._distribute_widths()

    def _distribute_widths(self) -> None:
        """Numbers get what they need, then names, then types, then badges."""
        self._fitting = True
        for column, needed in _MIN_WIDTH_FOR.items():
            self.setColumnHidden(column, self.viewport().width() < needed)
        shown = [column for column in _MIN_COLUMN_WIDTHS if not self.isColumnHidden(column)]
        room = (
            self.viewport().width()
            - sum(_MIN_COLUMN_WIDTHS[column] for column in shown)
            - _BADGE_RESERVE * (TYPE in shown)
        )
        for column in (PARAMETERS, NAME, TYPE) if not self._user_sized else ():
            more = (
                min(max(0, self._needed_widths[column] - _MIN_COLUMN_WIDTHS[column]), max(0, room))
                if column in shown
                else 0
            )
            self.header().resizeSection(column, _MIN_COLUMN_WIDTHS[column] + more)
            room -= more
        if not self._user_sized:
            self.header().resizeSection(TRAINABLE, _MIN_COLUMN_WIDTHS[TRAINABLE])
        self._fitting = False

    def _resized(self, column: int) -> None:
        """What the user has divided stays so until another tree comes."""
        self._user_sized = self._user_sized or (column != ATTACHMENTS and not self._fitting)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: where there is little room, badges matter more than types and sizes."""
        super().resizeEvent(event)
        if self._needed_widths:
            self._distribute_widths()

    @property
    def layer_tree(self) -> LayerTree:
        """The model."""
        return cast(LayerTree, self.model())

    def selected_refs(self) -> tuple[NodeRef, ...]:
        """The selected places in the order of the tree; the backbone where none is."""
        rows = sorted(self.selectionModel().selectedRows(), key=lambda index: index.internalId())
        return tuple(self.layer_tree.ref(index) for index in rows) or (NodeRef(),)

    def select_rows(self, rows: list[QModelIndex]) -> None:
        """Select ``rows``, at least one, and bring the first into view."""
        flag = QItemSelectionModel.SelectionFlag
        self.selectionModel().setCurrentIndex(rows[0], flag.NoUpdate)
        chosen = QItemSelection()
        for row in rows:
            chosen.select(row, row)
        self.selectionModel().select(chosen, flag.ClearAndSelect | flag.Rows)
        self.scrollTo(rows[0])

    def refs_at(self, position: QPoint) -> tuple[NodeRef, ...]:
        """What a place in the viewport stands for: its row, all selected rows if it is one of them, or the backbone."""
        index = self.indexAt(position)
        spot = self.layer_tree.ref(index)
        return self.selected_refs() if index.isValid() and spot in self.selected_refs() else (spot,)

    def badge_at(self, position: QPoint) -> tuple[Badge, NodeRef] | None:
        """The badge at a place in the viewport, with its row's place."""
        index = self.indexAt(position)
        node = self.layer_tree.node(index)
        if node is None or index.column() != ATTACHMENTS:
            return None
        boxes = self._badge_boxes(index, node)
        return next(((badge, node.ref) for box, badge in boxes if box.contains(position)), None)

    def _badge_boxes(self, index: QModelIndex, node: Node) -> list[tuple[QRect, Badge]]:
        words = comparison_tags(node, self.layer_tree, self.isExpanded(index.siblingAtColumn(0)))
        area = area_after_tags(cell_area(self.visualRect(index)), words)
        return badge_boxes(area, self.layer_tree.badges(node), node.part)

    def badge_box(self, ref: NodeRef, attachment: str) -> QRect:
        """Where in the viewport the badge of ``attachment`` at ``ref`` is drawn; empty where it is not."""
        index = self.layer_tree.index_of(ref, ATTACHMENTS)
        node = self.layer_tree.node(index)
        if node is None:
            return QRect()
        boxes = self._badge_boxes(index, node)
        return next((box for box, badge in boxes if badge.attachment == attachment), QRect())

    # keys and buttons

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter attaches the chosen method, with Ctrl and Shift to all of the kind; Delete takes off."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.attach_requested.emit(event.modifiers() & _CTRL == _CTRL and event.modifiers() & _SHIFT == _SHIFT)
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.detach_requested.emit()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: remember a badge that may be dragged away."""
        found = self.badge_at(event.position().toPoint()) if event.button() == Qt.MouseButton.LeftButton else None
        self._pressed_badge = (event.position().toPoint(), *found) if found else None
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Qt: a badge that was let go is no longer held."""
        self._pressed_badge = None
        super().mouseReleaseEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Qt: on a badge, edit its attachment."""
        if found := self.badge_at(event.position().toPoint()):
            self.edit_requested.emit(found[0].attachment)
            return
        super().mouseDoubleClickEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Qt: drag a badge, or tell which row the mouse is on."""
        if self._pressed_badge is None:
            super().mouseMoveEvent(event)
            self._set_hovered(self.layer_tree.ref(self.indexAt(event.position().toPoint())))
            return
        start, badge, spot = self._pressed_badge
        if (event.position().toPoint() - start).manhattanLength() >= QApplication.startDragDistance():
            self._pressed_badge = None
            self._drag_badge(badge, spot)

    def leaveEvent(self, event: QEvent) -> None:
        """Qt: the mouse is on no row any more."""
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

    # what a drop would do, beside the pointer

    def show_note(self, text: str) -> None:
        """Show ``text`` beside the pointer while something is dragged over the tree; nothing where empty."""
        self._note = text
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: the rows, and over them the note."""
        super().paintEvent(event)
        if not self._note:
            return
        painter = QPainter(self.viewport())
        wide = badge_width(self._note, "")
        left = min(self._note_position.x() + 14, self.viewport().width() - wide - 4)
        box = QRect(max(4, left), self._note_position.y() + 34, wide, 22)
        draw_badge(painter, box, self._note, "adapter", "surface", icon="", outlined=True)
        painter.end()

    # dropping: always on a row, on the selected rows, or on the empty ground for the whole backbone

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: a drag comes in; dim what cannot take it."""
        if carried := from_mime(event.mimeData()):
            self.drag_changed.emit(carried)
            event.acceptProposedAction()
            return
        super().dragEnterEvent(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Qt: say what a drop here would do."""
        super().dragMoveEvent(event)
        carried, spots = from_mime(event.mimeData()), self._target_refs(event)
        self._note_position = event.position().toPoint()
        self.drag_moved.emit(carried, spots)
        if self.layer_tree.accepts_drop(carried, spots):
            event.setDropAction(_drop_action(event, carried))
            event.accept()
        else:
            event.ignore()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Qt: the drag has left."""
        super().dragLeaveEvent(event)
        self.show_note("")
        self.drag_moved.emit("", (NodeRef(),))

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: let the model attach, or whoever listens move."""
        carried, spots = from_mime(event.mimeData()), self._target_refs(event)
        self.show_note("")
        self.setState(QAbstractItemView.State.NoState)
        self.drag_changed.emit("")
        if not self.layer_tree.accepts_drop(carried, spots):
            return
        if isinstance(carried, LiftedAttachment) and event.modifiers() & _SHIFT:
            self.move_requested.emit(carried, spots)
        else:
            self.layer_tree.attach(carried, spots)
        event.setDropAction(_drop_action(event, carried))
        event.accept()

    def _target_refs(self, event: QDropEvent) -> tuple[NodeRef, ...]:
        spots = self.refs_at(event.position().toPoint())
        return self.same_kind(spots) or spots if event.modifiers() & _CTRL else spots


def _drop_action(event: QDropEvent, payload: DragPayload) -> Qt.DropAction:
    moves = isinstance(payload, LiftedAttachment) and event.modifiers() & _SHIFT
    return Qt.DropAction.MoveAction if moves else Qt.DropAction.CopyAction
