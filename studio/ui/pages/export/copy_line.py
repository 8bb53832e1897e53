"""A line of text to copy, such as a command."""

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLineEdit, QWidget

from studio.ui.i18n.language import tr
from studio.ui.widgets.components import Column, IconButton, Row, text


class CopyLine(QWidget):
    """A caption, and below it a line that can be selected, with a button that copies all of it."""

    def __init__(self, caption: str) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setReadOnly(True)
        self.line.setAccessibleName(caption)
        self.copy_button = IconButton(tr("Copy"), "copy", self.copy)
        self.setLayout(Column(text(caption, "caption"), Row((self.line, 1), self.copy_button, gap=4), gap=2))

    def show_line(self, words: str) -> None:
        """Show ``words`` from their beginning."""
        self.line.setText(words)
        self.line.setCursorPosition(0)
        self.copy_button.tint.show("copy")

    def copy(self) -> None:
        """Put the line on the clipboard."""
        QGuiApplication.clipboard().setText(self.line.text())
        self.copy_button.tint.show("check")
