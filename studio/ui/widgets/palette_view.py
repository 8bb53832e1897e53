"""The palette's list: a card for each method, to drag from."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QDrag, QFontMetrics, QKeyEvent, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from studio.ui.icons import pixmap
from studio.ui.models.palette import METHOD_ROLE, MethodRow
from studio.ui.theme import colour
from studio.ui.widgets.painting import draw_badge, small_font, strong_font

_PADDING = 10


class _CardPainter(QStyledItemDelegate):
    """Draws a method: name in strong letters, summary below, a grip at the right."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:  # noqa: N802
        """Qt: as high as the summary needs."""
        view = option.widget
        width = (view.viewport().width() if isinstance(view, QAbstractItemView) else 220) - 2
        row: MethodRow = index.data(METHOD_ROLE)
        metrics = QFontMetrics(small_font(option.font))
        words = metrics.boundingRect(QRect(0, 0, width - 4 * _PADDING - 8, 999), int(Qt.TextFlag.TextWordWrap), row.summary)
        return QSize(width, words.height() + QFontMetrics(strong_font(option.font)).height() + 2 * _PADDING + 8)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        """Qt: draw one card."""
        row: MethodRow = index.data(METHOD_ROLE)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        card = option.rect.adjusted(1, 1, -1, -5)
        painter.setBrush(colour("adapter_soft" if chosen else "hover" if hovered else "surface"))
        painter.setPen(QPen(colour("adapter" if chosen else "line"), 1))
        painter.drawRoundedRect(card, 8, 8)
        self._draw_words(painter, card.adjusted(_PADDING, _PADDING - 2, -_PADDING - 18, -_PADDING + 4), row, option)
        painter.drawPixmap(card.right() - 24, card.center().y() - 8, pixmap("drag", "faint", 16))
        painter.restore()

    def _draw_words(self, painter: QPainter, area: QRect, row: MethodRow, option: QStyleOptionViewItem) -> None:
        painter.setFont(strong_font(option.font))
        painter.setPen(colour("text"))
        height = painter.fontMetrics().height()
        painter.drawText(QRect(area.left(), area.top(), area.width(), height), Qt.AlignmentFlag.AlignVCenter, row.label)
        painter.setFont(small_font(option.font))
        painter.setPen(colour("muted"))
        painter.drawText(area.adjusted(0, height + 2, 0, 4), int(Qt.TextFlag.TextWordWrap), row.summary)


class PaletteView(QListView):
    """Methods to drag; Enter or a double-click attaches the chosen one to what is selected in the tree."""

    drag_changed = Signal(object)
    method_activated = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._painter = _CardPainter(self)
        self.setItemDelegate(self._painter)
        self.setDragEnabled(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setAccessibleName("PEFT methods")
        self.doubleClicked.connect(lambda index: self.method_activated.emit(index.data(METHOD_ROLE).name))

    @property
    def method(self) -> str:
        """The name of the chosen method; empty where there is none."""
        index = self.currentIndex()
        return index.data(METHOD_ROLE).name if index.isValid() else ""

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Qt: Enter attaches."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.method:
            self.method_activated.emit(self.method)
            return
        super().keyPressEvent(event)

    def startDrag(self, actions: Qt.DropAction) -> None:  # noqa: N802
        """Qt: tell that a drag begins, carry it out, tell that it is over."""
        index = self.currentIndex()
        if not index.isValid():
            return
        row: MethodRow = index.data(METHOD_ROLE)
        drag = QDrag(self)
        drag.setMimeData(self.model().mimeData([index]))
        drag.setPixmap(_ghost(row.label))
        drag.setHotSpot(QPoint(-12, -8))
        self.drag_changed.emit(row.name)
        drag.exec(Qt.DropAction.CopyAction)
        self.drag_changed.emit("")


def _ghost(words: str) -> QPixmap:
    """The badge that follows the pointer."""
    image = QPixmap(480, 64)
    image.setDevicePixelRatio(2)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    width = draw_badge(painter, QRect(1, 4, 236, 24), words, "adapter", "adapter_soft", outlined=True)
    painter.end()
    return image.copy(0, 0, 2 * (width + 4), 64)
