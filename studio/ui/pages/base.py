"""Base class of all pages: a title, a description, the button of the next step, and the state of the view."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtWidgets import QLayout, QWidget

from studio.ui.i18n.language import tr
from studio.ui.services.workspace import Workspace
from studio.ui.shared.error_banner import ErrorBanner
from studio.ui.widgets.components import HBox, VBox, next_button, text_label


class Page(QWidget):
    """One page of the window. ``next_title`` names the next step; empty on the last.

    The window builds its pages anew when the language or the theme changes. A page therefore shows in :meth:`refresh`
    what the services hold, and hands over in :meth:`view_state` what only its widgets know.
    """

    def __init__(self, workspace: Workspace, title: str, description: str, next_title: str = "") -> None:
        super().__init__()
        self.setObjectName("page")
        self.workspace = workspace
        self.banner = ErrorBanner()
        self.next_button = next_button(tr("Next: {page}", page=next_title), self._go_to_next_step)
        self.next_button.setVisible(bool(next_title))
        self.header = HBox()
        words = VBox(text_label(title, "title"), text_label(description, "muted", wrap=True), gap=2)
        self._box = VBox(
            HBox((words, 1), self.header, self.next_button, gap=8), self.banner, gap=14, margins=(24, 18, 24, 18)
        )
        self.setLayout(self._box)

    def refresh(self) -> None:
        """Show what the services hold now; called once after the page is built, before it comes into view."""

    def view_state(self) -> dict[str, Any]:
        """Return what a page built anew needs to look like this one: selection, scroll positions, open tab, filters.

        Plain values only (texts, numbers, byte arrays, paths), never widgets.
        """
        return {}

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Look like the page whose :meth:`view_state` is ``state``; unknown or missing keys are no error."""

    def set_content(self, content: QLayout | QWidget) -> None:
        """Put ``content`` below the title."""
        if isinstance(content, QLayout):
            self._box.addLayout(content, 1)
        else:
            self._box.addWidget(content, 1)

    def _go_to_next_step(self) -> None:
        self.workspace.step_requested.emit(1)
