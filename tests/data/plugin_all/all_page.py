"""Notes: a page that shows the backbone of the recipe."""

from PySide6.QtWidgets import QLabel

from studio.page_api import Page, PageSpec, Workspace, register_page


class NotesPage(Page):
    """A sixth step."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace, "Notes", "The backbone of the recipe.")
        self.text = QLabel()
        self.set_content(self.text)

    def refresh(self) -> None:
        """Show the backbone."""
        self.text.setText(self.workspace.document.recipe.backbone.name)


PAGE = register_page(PageSpec("notes", "Notes", "info", NotesPage, "Ctrl+9", step=6))
