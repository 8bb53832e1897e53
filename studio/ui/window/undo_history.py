"""A button that lists the steps of the history by name; choosing one goes there."""

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QKeyEvent, QUndoStack
from PySide6.QtWidgets import QFrame, QUndoView

from studio.ui.i18n.language import language, tr
from studio.ui.widgets.components import Column, IconButton, text


class HistoryButton(IconButton):
    """Opens the list under itself."""

    def __init__(self, history: QUndoStack) -> None:
        super().__init__(tr("All steps (history)"), "chevron-down", self.open)
        self.list = HistoryList(history, self)
        history.indexChanged.connect(lambda _: self.setEnabled(history.count() > 0))
        self.setEnabled(history.count() > 0)

    def open(self) -> None:
        """Show the list; the keys go there."""
        self.list.say_again()
        corner = self.mapToGlobal(QPoint(self.width(), self.height() + 4))
        self.list.move(corner - QPoint(self.list.width(), 0))
        self.list.show()
        self.list.view.setFocus()


class HistoryList(QFrame):
    """The steps from the first to the last, the present one marked; a click or the arrow keys go to any of them."""

    def __init__(self, history: QUndoStack, parent: IconButton) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setProperty("role", "card")
        self._history = history
        self.view = QUndoView(history)
        self.view.setAccessibleName(tr("Steps of the history"))
        self.view.setUniformItemSizes(True)
        self._heading = text(tr("History"), "heading")
        self.setLayout(Column(self._heading, (self.view, 1), gap=6, margins=(12, 10, 8, 10)))
        self.setFixedSize(300, 340)
        self.say_again()

    def say_again(self) -> None:
        """Name the beginning and the steps in the window's language."""
        self.view.setEmptyLabel(tr("Beginning"))
        for number in range(self._history.count()):
            self._history.command(number).setText(language().again(self._history.text(number)))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter closes, as Escape does."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.close()
            return
        super().keyPressEvent(event)
