"""What all pages have: a title, a sentence, and the way to the next step."""

from PySide6.QtWidgets import QLayout, QWidget

from studio.ui.i18n.language import tr
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.components import Banner, HBox, VBox, next_button, text_label


class Page(QWidget):
    """One step. ``next_words`` names the next one; empty on the last."""

    def __init__(self, workspace: Workspace, title: str, description: str, next_title: str = "") -> None:
        super().__init__()
        self.setObjectName("page")
        self.workspace = workspace
        self.banner = Banner()
        self.next_button = next_button(tr("Next: {page}", page=next_title), self._go_to_next_step)
        self.next_button.setVisible(bool(next_title))
        self.header = HBox()
        words = VBox(text_label(title, "title"), text_label(description, "muted", wrap=True), gap=2)
        self._box = VBox(
            HBox((words, 1), self.header, self.next_button, gap=8), self.banner, gap=14, margins=(24, 18, 24, 18)
        )
        self.setLayout(self._box)

    def set_content(self, content: QLayout | QWidget) -> None:
        """Put ``content`` below the title."""
        if isinstance(content, QLayout):
            self._box.addLayout(content, 1)
        else:
            self._box.addWidget(content, 1)

    def _go_to_next_step(self) -> None:
        self.workspace.step_requested.emit(1)
