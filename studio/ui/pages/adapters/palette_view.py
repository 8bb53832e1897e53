"""The palette as a list of cards to drag, one for each method."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QDrag, QFont, QFontMetrics, QKeyEvent, QPainter, QPen, QTextLayout
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
)

from studio.ui.i18n.language import localized, tr
from studio.ui.pages.adapters.palette_model import METHOD_ROLE, UNSUPPORTED_ROLE, Palette
from studio.ui.services.method_rows import MethodRow
from studio.ui.style.icons import pixmap
from studio.ui.style.theme import color
from studio.ui.widgets.painting import drag_pixmap, small_font, strong_font

_PADDING = 10
_FAMILY_HEIGHT = 26
_BOTTOM = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom)


class _MethodDelegate(QStyledItemDelegate):
    """Draws a method, and the family above its first method."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Qt: two lines of summary, and room for the family if it is shown."""
        view = option.widget
        width = (view.viewport().width() if isinstance(view, QAbstractItemView) else 220) - 2
        lines = QFontMetrics(small_font(option.font)).lineSpacing() * 2
        card = lines + QFontMetrics(strong_font(option.font)).height() + 2 * _PADDING + 4
        return QSize(width, card + (_FAMILY_HEIGHT if _starts_family(index) else 0))

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Qt: draw one card."""
        row: MethodRow = index.data(METHOD_ROLE)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = option.rect
        if _starts_family(index):
            self._draw_family(painter, area, row.family, option)
            area = area.adjusted(0, _FAMILY_HEIGHT, 0, 0)
        if index.data(UNSUPPORTED_ROLE):
            painter.setOpacity(0.4)
        card = area.adjusted(1, 1, -1, -5)
        painter.setBrush(color("adapter_soft" if chosen else "hover" if hovered else "surface"))
        painter.setPen(QPen(color("adapter" if chosen else "line"), 1))
        painter.drawRoundedRect(card, 8, 8)
        self._draw_text(painter, card.adjusted(_PADDING, _PADDING - 2, -_PADDING - 18, -4), row, option)
        painter.drawPixmap(card.right() - 22, card.center().y() - 8, pixmap("drag", "faint", 16))
        painter.restore()

    def _draw_family(self, painter: QPainter, area: QRect, family: str, option: QStyleOptionViewItem) -> None:
        painter.setFont(small_font(option.font))
        painter.setPen(color("muted"))
        text = localized(family)
        text = text[:1].upper() + text[1:]
        painter.drawText(QRect(area.left() + 2, area.top(), area.width(), _FAMILY_HEIGHT - 4), _BOTTOM, text)

    def _draw_text(self, painter: QPainter, area: QRect, row: MethodRow, option: QStyleOptionViewItem) -> None:
        painter.setFont(strong_font(option.font))
        painter.setPen(color("text"))
        height = painter.fontMetrics().height()
        first_line = QRect(area.left(), area.top(), area.width(), height)
        painter.drawText(first_line, Qt.AlignmentFlag.AlignVCenter, localized(row.label))
        painter.setFont(small_font(option.font))
        painter.setPen(color("muted"))
        spacing = painter.fontMetrics().lineSpacing()
        for number, text in enumerate(elide_to_two_lines(localized(row.summary), painter.font(), area.width())):
            line = QRect(area.left(), area.top() + height + 2 + number * spacing, area.width() + 4, spacing)
            painter.drawText(line, int(Qt.AlignmentFlag.AlignVCenter), text)


def elide_to_two_lines(text: str, font: QFont, width: int) -> tuple[str, ...]:
    """Return ``text`` in at most two lines, the second elided if there is more."""
    layout = QTextLayout(text, font)
    layout.beginLayout()
    line = layout.createLine()
    line.setLineWidth(width)
    cut = line.textLength()
    layout.endLayout()
    first, rest = text[:cut].rstrip(), text[cut:].lstrip()
    return (first, QFontMetrics(font).elidedText(rest, Qt.TextElideMode.ElideRight, width)) if rest else (first,)


def _starts_family(index: QModelIndex | QPersistentModelIndex) -> bool:
    model = index.model()
    return isinstance(model, Palette) and model.starts_family(index.row())


class PaletteView(QListView):
    """Methods and presets to drag.

    Enter or a double-click attaches the current one to the selection in the tree.

    ``method_activated`` carries the payload, and whether it is for all layers of the kind (with Ctrl).
    """

    drag_changed = Signal(object)
    method_activated = Signal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self._delegate = _MethodDelegate(self)
        self.setItemDelegate(self._delegate)
        self.setDragEnabled(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setAccessibleName(tr("PEFT methods"))
        self.doubleClicked.connect(self._double_clicked)

    @property
    def selected_row(self) -> MethodRow | None:
        """The current row; None without one."""
        index = self.currentIndex()
        return index.data(METHOD_ROLE) if index.isValid() else None

    @property
    def selected_name(self) -> str:
        """The name of the current row; empty without one."""
        return self.selected_row.name if self.selected_row else ""

    def _double_clicked(self, index: QModelIndex) -> None:
        ctrl = QApplication.keyboardModifiers() & Qt.KeyboardModifier.ControlModifier
        self.method_activated.emit(index.data(METHOD_ROLE).payload, bool(ctrl))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter attaches the current row."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.selected_row:
            both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
            self.method_activated.emit(self.selected_row.payload, event.modifiers() & both == both)
            return
        super().keyPressEvent(event)

    def startDrag(self, actions: Qt.DropAction) -> None:
        """Qt: run the drag, and emit its beginning and end."""
        index = self.currentIndex()
        if not index.flags() & Qt.ItemFlag.ItemIsDragEnabled:
            return
        row: MethodRow = index.data(METHOD_ROLE)
        drag = QDrag(self)
        drag.setMimeData(self.model().mimeData([index]))
        drag.setPixmap(drag_pixmap(localized(row.label), self.devicePixelRatioF()))
        drag.setHotSpot(QPoint(-12, -8))
        self.drag_changed.emit(row.payload)
        drag.exec(Qt.DropAction.CopyAction)
        self.drag_changed.emit("")
