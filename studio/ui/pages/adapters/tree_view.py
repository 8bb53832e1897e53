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
from studio.ui.pages.adapters.layer_tree_model import ATTACHMENTS, NAME, PARAMETERS, TRAINABLE, TYPE, LayerTree
from studio.ui.pages.adapters.tree_delegate import RowPainter, after_tags, badge_boxes, cell_area, tags
from studio.ui.services.drag_payload import Carried, Lifted, carried_in, mime_of
from studio.ui.services.tree_data import Badge, Node, Spot, badge_text
from studio.ui.widgets.painting import badge_width, draw_badge, ghost, small_font, strong_font

_ROOM_FOR = {TYPE: 600, PARAMETERS: 470}
_LEAST = {NAME: 150, TYPE: 110, PARAMETERS: 90, TRAINABLE: 78, ATTACHMENTS: 140}
_BADGE = 48
"""Where types are shown, so much more for the badges."""
_GLYPH = 22
_AROUND = 22
"""What a cell leaves free around its words, those of the header included."""
_CTRL, _SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


class TreeView(QTreeView):
    """The layer tree. Drops go to the model; every hover, key and menu is told by signals.

    With Ctrl a drop is meant for all layers of the kind, which ``alike`` names. ``lift`` takes up the attachment called
    so at a place, None where there is none.
    """

    hovered = Signal(object, object)
    pointed = Signal(object)
    drag_changed = Signal(object)
    attach_wanted = Signal(object)
    detach_wanted = Signal()
    move_wanted = Signal(object, object)
    edit_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._painter = RowPainter(self)
        self.alike: Callable[[tuple[Spot, ...]], tuple[Spot, ...]] = lambda spots: spots
        self.lift: Callable[[str, Spot], Lifted | None] = lambda name, spot: None
        self._pressed: tuple[QPoint, Badge, Spot] | None = None
        self._over = Spot()
        self._note, self._note_at = "", QPoint()
        self._wanted: dict[int, int] = {}
        self._fitting = self._by_hand = False
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
        for column in (NAME, TYPE, PARAMETERS, TRAINABLE):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
        header.sectionResized.connect(self._resized)
        self.fit_columns()

    def fit_columns(self) -> None:
        """Make the columns as wide as another tree needs them."""
        names, kinds, number = self.tree.widest()
        small, strong = QFontMetrics(small_font()), QFontMetrics(strong_font())
        deep = self.indentation()
        name = max((deep * (depth + 1) + _GLYPH + strong.horizontalAdvance(words) for depth, words in names), default=0)
        self._wanted = {
            NAME: name + _AROUND,
            TYPE: max(map(small.horizontalAdvance, kinds), default=0) + _AROUND,
            PARAMETERS: small.horizontalAdvance(number) + _AROUND,
        }
        self._by_hand = False
        self._divide()

    def _divide(self) -> None:
        """Numbers get what they need, then names, then types, then badges."""
        self._fitting = True
        for column, needed in _ROOM_FOR.items():
            self.setColumnHidden(column, self.viewport().width() < needed)
        shown = [column for column in _LEAST if not self.isColumnHidden(column)]
        room = self.viewport().width() - sum(_LEAST[column] for column in shown) - _BADGE * (TYPE in shown)
        for column in (PARAMETERS, NAME, TYPE) if not self._by_hand else ():
            more = min(max(0, self._wanted[column] - _LEAST[column]), max(0, room)) if column in shown else 0
            self.header().resizeSection(column, _LEAST[column] + more)
            room -= more
        if not self._by_hand:
            self.header().resizeSection(TRAINABLE, _LEAST[TRAINABLE])
        self._fitting = False

    def _resized(self, column: int) -> None:
        """What the user has divided stays so until another tree comes."""
        self._by_hand = self._by_hand or (column != ATTACHMENTS and not self._fitting)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: where there is little room, badges matter more than types and sizes."""
        super().resizeEvent(event)
        if self._wanted:
            self._divide()

    @property
    def tree(self) -> LayerTree:
        """The model."""
        return cast(LayerTree, self.model())

    def spots(self) -> tuple[Spot, ...]:
        """The selected places in the order of the tree; the backbone where none is."""
        rows = sorted(self.selectionModel().selectedRows(), key=lambda index: index.internalId())
        return tuple(self.tree.spot(index) for index in rows) or (Spot(),)

    def choose(self, rows: list[QModelIndex]) -> None:
        """Select ``rows``, at least one, and bring the first into view."""
        flag = QItemSelectionModel.SelectionFlag
        self.selectionModel().setCurrentIndex(rows[0], flag.NoUpdate)
        chosen = QItemSelection()
        for row in rows:
            chosen.select(row, row)
        self.selectionModel().select(chosen, flag.ClearAndSelect | flag.Rows)
        self.scrollTo(rows[0])

    def spots_at(self, position: QPoint) -> tuple[Spot, ...]:
        """What a place in the viewport stands for: its row, all selected rows if it is one of them, or the backbone."""
        index = self.indexAt(position)
        spot = self.tree.spot(index)
        return self.spots() if index.isValid() and spot in self.spots() else (spot,)

    def badge_at(self, position: QPoint) -> tuple[Badge, Spot] | None:
        """The badge at a place in the viewport, with its row's place."""
        index = self.indexAt(position)
        node = self.tree.node(index)
        if node is None or index.column() != ATTACHMENTS:
            return None
        boxes = self._badge_boxes(index, node)
        return next(((badge, node.spot) for box, badge in boxes if box.contains(position)), None)

    def _badge_boxes(self, index: QModelIndex, node: Node) -> list[tuple[QRect, Badge]]:
        words = tags(node, self.tree, self.isExpanded(index.siblingAtColumn(0)))
        area = after_tags(cell_area(self.visualRect(index)), words)
        return badge_boxes(area, self.tree.badges(node), node.part)

    def badge_box(self, spot: Spot, attachment: str) -> QRect:
        """Where in the viewport the badge of ``attachment`` at ``spot`` is drawn; empty where it is not."""
        index = self.tree.index_of(spot, ATTACHMENTS)
        node = self.tree.node(index)
        if node is None:
            return QRect()
        boxes = self._badge_boxes(index, node)
        return next((box for box, badge in boxes if badge.attachment == attachment), QRect())

    # keys and buttons

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter attaches the chosen method, with Ctrl and Shift to all of the kind; Delete takes off."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.attach_wanted.emit(event.modifiers() & _CTRL == _CTRL and event.modifiers() & _SHIFT == _SHIFT)
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.detach_wanted.emit()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: remember a badge that may be dragged away."""
        found = self.badge_at(event.position().toPoint()) if event.button() == Qt.MouseButton.LeftButton else None
        self._pressed = (event.position().toPoint(), *found) if found else None
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Qt: a badge that was let go is no longer held."""
        self._pressed = None
        super().mouseReleaseEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Qt: on a badge, edit its attachment."""
        if found := self.badge_at(event.position().toPoint()):
            self.edit_wanted.emit(found[0].attachment)
            return
        super().mouseDoubleClickEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Qt: drag a badge, or tell which row the mouse is on."""
        if self._pressed is None:
            super().mouseMoveEvent(event)
            self._point(self.tree.spot(self.indexAt(event.position().toPoint())))
            return
        start, badge, spot = self._pressed
        if (event.position().toPoint() - start).manhattanLength() >= QApplication.startDragDistance():
            self._pressed = None
            self._drag_badge(badge, spot)

    def leaveEvent(self, event: QEvent) -> None:
        """Qt: the mouse is on no row any more."""
        super().leaveEvent(event)
        self._point(Spot())

    def _point(self, spot: Spot) -> None:
        if spot != self._over:
            self._over = spot
            self.pointed.emit(spot)

    def _drag_badge(self, badge: Badge, spot: Spot) -> None:
        lifted = self.lift(badge.attachment, spot)
        if lifted is None:
            return
        drag = QDrag(self)
        drag.setMimeData(mime_of(lifted))
        drag.setPixmap(ghost(badge_text(badge), self.devicePixelRatioF()))
        drag.setHotSpot(QPoint(-12, -8))
        self.drag_changed.emit(lifted)
        drag.exec(Qt.DropAction.CopyAction | Qt.DropAction.MoveAction, Qt.DropAction.CopyAction)
        self.show_note("")
        self.drag_changed.emit("")

    # what a drop would do, beside the pointer

    def show_note(self, words: str) -> None:
        """Show ``words`` beside the pointer while something is dragged over the tree; nothing where empty."""
        self._note = words
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: the rows, and over them the note."""
        super().paintEvent(event)
        if not self._note:
            return
        painter = QPainter(self.viewport())
        wide = badge_width(self._note, "")
        left = min(self._note_at.x() + 14, self.viewport().width() - wide - 4)
        box = QRect(max(4, left), self._note_at.y() + 34, wide, 22)
        draw_badge(painter, box, self._note, "adapter", "surface", icon="", outlined=True)
        painter.end()

    # dropping: always on a row, on the selected rows, or on the empty ground for the whole backbone

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: a drag comes in; dim what cannot take it."""
        if carried := carried_in(event.mimeData()):
            self.drag_changed.emit(carried)
            event.acceptProposedAction()
            return
        super().dragEnterEvent(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Qt: say what a drop here would do."""
        super().dragMoveEvent(event)
        carried, spots = carried_in(event.mimeData()), self._meant(event)
        self._note_at = event.position().toPoint()
        self.hovered.emit(carried, spots)
        if self.tree.takes(carried, spots):
            event.setDropAction(_action(event, carried))
            event.accept()
        else:
            event.ignore()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Qt: the drag has left."""
        super().dragLeaveEvent(event)
        self.show_note("")
        self.hovered.emit("", (Spot(),))

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: let the model attach, or whoever listens move."""
        carried, spots = carried_in(event.mimeData()), self._meant(event)
        self.show_note("")
        self.setState(QAbstractItemView.State.NoState)
        self.drag_changed.emit("")
        if not self.tree.takes(carried, spots):
            return
        if isinstance(carried, Lifted) and event.modifiers() & _SHIFT:
            self.move_wanted.emit(carried, spots)
        else:
            self.tree.put(carried, spots)
        event.setDropAction(_action(event, carried))
        event.accept()

    def _meant(self, event: QDropEvent) -> tuple[Spot, ...]:
        spots = self.spots_at(event.position().toPoint())
        return self.alike(spots) or spots if event.modifiers() & _CTRL else spots


def _action(event: QDropEvent, carried: Carried) -> Qt.DropAction:
    moves = isinstance(carried, Lifted) and event.modifiers() & _SHIFT
    return Qt.DropAction.MoveAction if moves else Qt.DropAction.CopyAction
