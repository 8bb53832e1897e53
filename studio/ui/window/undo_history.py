"""A button that lists the steps of the history by name; choosing one goes there."""

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QKeyEvent, QUndoStack
from PySide6.QtWidgets import QFrame, QUndoView

from studio.ui.i18n.language import tr
from studio.ui.widgets.components import IconButton, VBox, text_label


class UndoHistoryButton(IconButton):
    """Opens the list below itself."""

    def __init__(self, undo_stack: QUndoStack) -> None:
        super().__init__(tr("History"), "chevron-down", self.open_popup)
        self._undo_stack = undo_stack
        self.popup = UndoHistoryPopup(undo_stack, self)
        undo_stack.indexChanged.connect(self._update_enabled)
        self._update_enabled()

    def _update_enabled(self, *_: object) -> None:
        self.setEnabled(self._undo_stack.count() > 0)

    def open_popup(self) -> None:
        """Show the list and give it the keyboard focus."""
        corner = self.mapToGlobal(QPoint(self.width(), self.height() + 4))
        self.popup.move(corner - QPoint(self.popup.width(), 0))
        self.popup.show()
        self.popup.view.setFocus()


class UndoHistoryPopup(QFrame):
    """The steps from the first to the last, the present one marked; a click or the arrow keys go to any of them."""

    def __init__(self, undo_stack: QUndoStack, parent: IconButton) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setProperty("role", "card")
        self.view = QUndoView(undo_stack)
        self.view.setAccessibleName(tr("Steps of the history"))
        self.view.setUniformItemSizes(True)
        self.view.setEmptyLabel(tr("Beginning"))
        self.setLayout(VBox(text_label(tr("History"), "heading"), (self.view, 1), gap=6, margins=(12, 10, 8, 10)))
        self.setFixedSize(300, 340)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Close on Enter, as Escape does."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.close()
            return
        super().keyPressEvent(event)
