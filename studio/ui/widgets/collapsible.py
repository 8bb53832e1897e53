"""A heading that expands and collapses the content below it."""

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QLayout, QWidget

from studio.ui.style.icons import IconTint
from studio.ui.widgets.components import HBox, VBox, button, container, text_label


class CollapsibleSection(QWidget):
    """Shows ``content`` when its heading is pressed.

    Collapsed at first, and collapsed content takes no focus.
    """

    def __init__(self, heading: str, content: QLayout) -> None:
        super().__init__()
        self.header = button(heading, kind="quiet")
        self.header.setCheckable(True)
        self.header.setIconSize(QSize(14, 14))
        self._arrow = IconTint(self.header, "chevron-right", "accent")
        self._note = text_label("", "caption")
        self._content = container(content)
        self._content.hide()
        self.header.toggled.connect(self._set_expanded)
        self.setLayout(VBox(HBox(self.header, None, self._note), self._content, gap=8))

    def set_note(self, text: str) -> None:
        """Show a note beside the heading, such as the number of changed values."""
        self._note.setText(text)

    @property
    def note_text(self) -> str:
        """The note beside the heading."""
        return self._note.text()

    def _set_expanded(self, expanded: bool) -> None:
        self._content.setVisible(expanded)
        self._arrow.show("chevron-down" if expanded else "chevron-right")
