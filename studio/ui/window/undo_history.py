"""A button that lists the steps of the history by name; choosing one goes there."""

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QKeyEvent, QUndoStack
from PySide6.QtWidgets import QFrame, QUndoView

from studio.ui.i18n.language import tr
from studio.ui.widgets.components import IconButton, VBox, text_label


class UndoHistoryButton(IconButton):
    """Opens the list under itself."""

    def __init__(self, undo_stack: QUndoStack) -> None:
        super().__init__(tr("All steps (history)"), "chevron-down", self.open_popup)
        self.popup = UndoHistoryPopup(undo_stack, self)
        undo_stack.indexChanged.connect(lambda _: self.setEnabled(undo_stack.count() > 0))
        self.setEnabled(undo_stack.count() > 0)

    def open_popup(self) -> None:
        """Show the list; the keys go there."""
        self.popup.retranslate()
        corner = self.mapToGlobal(QPoint(self.width(), self.height() + 4))
        self.popup.move(corner - QPoint(self.popup.width(), 0))
        self.popup.show()
        self.popup.view.setFocus()


class UndoHistoryPopup(QFrame):
    """The steps from the first to the last, the present one marked; a click or the arrow keys go to any of them."""

    def __init__(self, undo_stack: QUndoStack, parent: IconButton) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setProperty("role", "card")
        self._undo_stack = undo_stack
        self.view = QUndoView(undo_stack)
        self.view.setAccessibleName(tr("Steps of the history"))
        self.view.setUniformItemSizes(True)
        self._heading = text_label(tr("History"), "heading")
        self.setLayout(VBox(self._heading, (self.view, 1), gap=6, margins=(12, 10, 8, 10)))
        self.setFixedSize(300, 340)
        self.retranslate()

    def retranslate(self) -> None:
        """Name the beginning and the steps in the window's language."""
        self.view.setEmptyLabel(tr("Beginning"))
        for number in range(self._undo_stack.count()):
            self._undo_stack.command(number).setText(self._undo_stack.text(number))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter closes, as Escape does."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.close()
            return
        super().keyPressEvent(event)
