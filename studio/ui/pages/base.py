"""What all pages have: a title, a sentence, and the way to the next step."""

from PySide6.QtWidgets import QLayout, QWidget

from studio.ui.i18n.language import tr
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.components import Column, Notice, Row, next_button, text


class Page(QWidget):
    """One step. ``next_words`` names the next one; empty on the last."""

    def __init__(self, workspace: Workspace, title: str, sentence: str, next_words: str = "") -> None:
        super().__init__()
        self.setObjectName("page")
        self.workspace = workspace
        self.notice = Notice()
        self.next = next_button(tr("Next: {page}", page=next_words), self._go_on)
        self.next.setVisible(bool(next_words))
        self.head = Row()
        words = Column(text(title, "title"), text(sentence, "muted", wrap=True), gap=2)
        self._box = Column(Row((words, 1), self.head, self.next, gap=8), self.notice, gap=14, margins=(24, 18, 24, 18))
        self.setLayout(self._box)

    def fill(self, content: QLayout | QWidget) -> None:
        """Put ``content`` below the title."""
        if isinstance(content, QLayout):
            self._box.addLayout(content, 1)
        else:
            self._box.addWidget(content, 1)

    def _go_on(self) -> None:
        self.workspace.step_wanted.emit(1)
