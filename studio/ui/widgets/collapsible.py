"""A heading that opens and closes what is under it."""

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QLayout, QWidget

from studio.ui.style.icons import Tint
from studio.ui.widgets.components import Column, Row, button, holder, text


class Fold(QWidget):
    """Shows ``content`` when its heading is pressed; closed at first, and what is closed takes no focus."""

    def __init__(self, heading: str, content: QLayout) -> None:
        super().__init__()
        self.head = button(heading, kind="quiet")
        self.head.setCheckable(True)
        self.head.setIconSize(QSize(14, 14))
        self._arrow = Tint(self.head, "chevron-right", "accent")
        self._note = text("", "caption")
        self._content = holder(content)
        self._content.hide()
        self.head.toggled.connect(self._show)
        self.setLayout(Column(Row(self.head, None, self._note), self._content, gap=8))

    def note(self, words: str) -> None:
        """Say something about the content beside the heading, such as how much of it is changed."""
        self._note.setText(words)

    @property
    def said(self) -> str:
        """What stands beside the heading."""
        return self._note.text()

    def _show(self, opened: bool) -> None:
        self._content.setVisible(opened)
        self._arrow.show("chevron-down" if opened else "chevron-right")
