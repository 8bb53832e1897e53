"""Queue of frozen recipes, reordered by dragging or with the keyboard."""

from collections.abc import Callable

from PySide6.QtCore import QModelIndex, QSize, Qt, QTimer
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem

from studio.app.queue import QueuedRecipe
from studio.core.errors import StudioError
from studio.ui.i18n.language import localized, tr, tr_n
from studio.ui.services.run_queue import RunQueue
from studio.ui.services.trainer import methods_text
from studio.ui.style.icons import icon
from studio.ui.widgets.components import Card, HBox, IconButton, button, text_label

_ID_ROLE = Qt.ItemDataRole.UserRole
_ROW_HEIGHT = 30
_MAX_ROWS = 4


class _KeyList(QListWidget):
    """List with its own keyboard shortcuts."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, Callable[[], object]] = {}

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: run the list's own shortcut, or the default of lists."""
        action = self.keys.get(QKeySequence(event.keyCombination()).toString())
        if action is not None:
            action()
        else:
            super().keyPressEvent(event)


class QueueCard(Card):
    """Card with the queued recipes; hidden while the queue is empty."""

    def __init__(self, queue: RunQueue) -> None:
        self._queue = queue
        self.up_button = IconButton(tr("Move up (Alt+Up)"), "chevron-up", lambda: self._shift(-1))
        self.down_button = IconButton(tr("Move down (Alt+Down)"), "chevron-down", lambda: self._shift(1))
        self.remove_button = IconButton(tr("Remove from queue (Delete)"), "trash", self._remove)
        super().__init__(tr("Queue"), heading_items=(self.up_button, self.down_button, self.remove_button), padding=14)
        self.list = _KeyList()
        self.list.setAccessibleName(tr("Queued recipes"))
        self.list.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setUniformItemSizes(True)
        self.list.setIconSize(QSize(14, 14))
        self.list.model().rowsMoved.connect(self._moved)
        self.list.currentRowChanged.connect(lambda row: self._show_buttons())
        self.problem_label = text_label("", "bad", wrap=True)
        self.retry_button = button(tr("Try again"), self._retry, "refresh")
        self.start_button = button(tr("Start queue"), queue.start, "train")
        self.body.addWidget(self.list)
        self.body.addWidget(self.problem_label)
        self.body.addLayout(HBox(self.start_button, self.retry_button))
        self.list.keys = {
            "Alt+Up": self.up_button.click,
            "Alt+Down": self.down_button.click,
            "Del": self.remove_button.click,
        }
        queue.changed.connect(self.show_rows)
        self.show_rows(queue.rows)

    def show_rows(self, rows: tuple[QueuedRecipe, ...]) -> None:
        """Show the queued recipes; the selection stays."""
        selected = self._selected_id()
        self.list.clear()
        for number, row in enumerate(rows, 1):
            self.list.addItem(_queue_item(number, row))
        position = next((i for i, row in enumerate(rows) if row.id == selected), 0)
        self.list.setCurrentRow(position if rows else -1)
        self.list.setFixedHeight(min(len(rows), _MAX_ROWS) * _ROW_HEIGHT + 2)
        self.setVisible(bool(rows))
        self._show_buttons()

    def _show_buttons(self) -> None:
        row = next((row for row in self._queue.rows if row.id == self._selected_id()), None)
        position, last = self.list.currentRow(), self.list.count() - 1
        self.up_button.setEnabled(position > 0)
        self.down_button.setEnabled(0 <= position < last)
        self.remove_button.setEnabled(row is not None)
        problem = row.problem if row else ""
        self.problem_label.setText(localized(problem))
        self.problem_label.setVisible(bool(problem))
        self.retry_button.setVisible(bool(problem))
        self.start_button.setVisible(self._queue.startable)

    def _selected_id(self) -> str:
        item = self.list.currentItem()
        return item.data(_ID_ROLE) if item else ""

    def _shift(self, offset: int) -> None:
        if row := self._selected_id():
            self._queue.move(row, self.list.currentRow() + offset)

    def _moved(self, parent: QModelIndex, first: int, last: int, target: QModelIndex, position: int) -> None:
        """Move the dragged row in the queue; ``position`` counts as before the move."""
        position -= position > first
        row = self.list.item(position).data(_ID_ROLE)
        QTimer.singleShot(0, lambda: self._queue.move(row, position))  # not while Qt is still moving

    def _remove(self) -> None:
        if row := self._selected_id():
            self._queue.remove(row)

    def _retry(self) -> None:
        if row := self._selected_id():
            self._queue.retry(row)


def _queue_item(number: int, row: QueuedRecipe) -> QListWidgetItem:
    """Return the line of a queued recipe, with the full recipe as tool tip."""
    try:
        recipe = row.recipe
        text = tr_n(
            "{number}. {backbone}, {methods}, {n} epoch at {rate:g}",
            "{number}. {backbone}, {methods}, {n} epochs at {rate:g}",
            recipe.training.epochs,
            number=number,
            backbone=recipe.backbone.name,
            methods=methods_text(recipe),
            rate=recipe.training.learning_rate,
        )
    except StudioError:
        text = tr("{number}. Unreadable recipe", number=number)
    item = QListWidgetItem(text)
    item.setData(_ID_ROLE, row.id)
    item.setToolTip(row.text)
    item.setSizeHint(QSize(0, _ROW_HEIGHT))
    if row.problem:
        item.setIcon(icon("warning", "bad"))
    return item
