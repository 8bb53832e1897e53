"""Line of text to copy, such as a command."""

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLineEdit, QWidget

from studio.ui.i18n.language import tr
from studio.ui.widgets.components import HBox, IconButton, VBox, text_label


class CopyLine(QWidget):
    """Caption above a read-only line with a copy button."""

    def __init__(self, caption: str) -> None:
        super().__init__()
        self.line_edit = QLineEdit()
        self.line_edit.setReadOnly(True)
        self.line_edit.setAccessibleName(caption)
        self.copy_button = IconButton(tr("Copy"), "copy", self.copy)
        self.setLayout(VBox(text_label(caption, "caption"), HBox((self.line_edit, 1), self.copy_button, gap=4), gap=2))

    def show_line(self, text: str) -> None:
        """Show ``text`` from its start."""
        self.line_edit.setText(text)
        self.line_edit.setCursorPosition(0)
        self.copy_button.icon_tint.show("copy")

    def copy(self) -> None:
        """Put the line on the clipboard."""
        QGuiApplication.clipboard().setText(self.line_edit.text())
        self.copy_button.icon_tint.show("check")
