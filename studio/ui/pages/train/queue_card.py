"""The queue: frozen recipes in the order of their turns, moved by dragging or with the keyboard."""

from collections.abc import Callable

from PySide6.QtCore import QModelIndex, QSize, Qt, QTimer
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem

from studio.app.queue import Waiting
from studio.core.errors import StudioError
from studio.ui.i18n.language import tr
from studio.ui.services.run_queue import RecipeQueue
from studio.ui.services.trainer import methods_of
from studio.ui.style.formatting import plural
from studio.ui.style.icons import icon
from studio.ui.widgets.components import Card, IconButton, Row, button, text

_ID = Qt.ItemDataRole.UserRole
_ROW = 30
_ROWS_SHOWN = 4


class _List(QListWidget):
    """A list with keys of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, Callable[[], object]] = {}

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: one of the list's own keys, or what lists do."""
        act = self.keys.get(QKeySequence(event.keyCombination()).toString())
        if act is not None:
            act()
        else:
            super().keyPressEvent(event)


class QueueCard(Card):
    """Hidden while nothing waits."""

    def __init__(self, queue: RecipeQueue) -> None:
        self._queue = queue
        self.up = IconButton(tr("Earlier (Alt+Up)"), "chevron-up", lambda: self._shift(-1))
        self.down = IconButton(tr("Later (Alt+Down)"), "chevron-down", lambda: self._shift(1))
        self.out = IconButton(tr("Take out of the queue (Delete)"), "trash", self._remove)
        super().__init__(tr("Queue"), beside=(self.up, self.down, self.out), padding=14)
        self.list = _List()
        self.list.setAccessibleName(tr("Recipes that wait"))
        self.list.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setUniformItemSizes(True)
        self.list.setIconSize(QSize(14, 14))
        self.list.model().rowsMoved.connect(self._moved)
        self.list.currentRowChanged.connect(lambda row: self._show_buttons())
        self.trouble = text("", "bad", wrap=True)
        self.retry = button(tr("Try again"), self._retry, "refresh")
        self.go = button(tr("Start the queue"), queue.start, "train")
        self.body.addWidget(self.list)
        self.body.addWidget(self.trouble)
        self.body.addLayout(Row(self.go, self.retry))
        self.list.keys = {"Alt+Up": self.up.click, "Alt+Down": self.down.click, "Del": self.out.click}
        queue.changed.connect(self.show_rows)
        self.show_rows(queue.rows)

    def show_rows(self, rows: tuple[Waiting, ...]) -> None:
        """Show what waits; the chosen row stays chosen."""
        chosen = self._chosen()
        self.list.clear()
        for number, row in enumerate(rows, 1):
            self.list.addItem(_item(number, row))
        place = next((i for i, row in enumerate(rows) if row.id == chosen), 0)
        self.list.setCurrentRow(place if rows else -1)
        self.list.setFixedHeight(min(len(rows), _ROWS_SHOWN) * _ROW + 2)
        self.setVisible(bool(rows))
        self._show_buttons()

    def _show_buttons(self) -> None:
        row = next((row for row in self._queue.rows if row.id == self._chosen()), None)
        place, last = self.list.currentRow(), self.list.count() - 1
        self.up.setEnabled(place > 0)
        self.down.setEnabled(0 <= place < last)
        self.out.setEnabled(row is not None)
        problem = row.problem if row else ""
        self.trouble.setText(tr(problem))
        self.trouble.setVisible(bool(problem))
        self.retry.setVisible(bool(problem))
        self.go.setVisible(self._queue.startable)

    def _chosen(self) -> str:
        item = self.list.currentItem()
        return item.data(_ID) if item else ""

    def _shift(self, by: int) -> None:
        if row := self._chosen():
            self._queue.move(row, self.list.currentRow() + by)

    def _moved(self, parent: QModelIndex, first: int, last: int, target: QModelIndex, place: int) -> None:
        """A row was dragged: Qt counts places as before the move."""
        place -= place > first
        row = self.list.item(place).data(_ID)
        QTimer.singleShot(0, lambda: self._queue.move(row, place))  # not while Qt is still moving

    def _remove(self) -> None:
        if row := self._chosen():
            self._queue.remove(row)

    def _retry(self) -> None:
        if row := self._chosen():
            self._queue.retry(row)


def _item(number: int, row: Waiting) -> QListWidgetItem:
    """One line: its place, backbone and methods; the whole recipe as its tool tip."""
    try:
        recipe = row.recipe
        words = tr(
            "{n}. {backbone}, {methods}, {epochs} at {rate:g}",
            n=number,
            backbone=recipe.backbone.name,
            methods=methods_of(recipe),
            epochs=plural(recipe.training.epochs, "epoch"),
            rate=recipe.training.learning_rate,
        )
    except StudioError:
        words = tr("{n}. A recipe that cannot be read", n=number)
    item = QListWidgetItem(words)
    item.setData(_ID, row.id)
    item.setToolTip(row.text)
    item.setSizeHint(QSize(0, _ROW))
    if row.problem:
        item.setIcon(icon("warning", "bad"))
    return item
