"""The menu of the recipes that were opened or saved last."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QWidget

from studio.ui.i18n.language import tr
from studio.ui.services.settings import Settings
from studio.ui.widgets.menu import Menu


class RecentMenu(Menu):
    """Filled when it opens: the last recipe first, without deleted ones."""

    def __init__(self, settings: Settings, open_recipe: Callable[[Path], object], parent: QWidget) -> None:
        super().__init__(parent, tr("Open recent"))
        self._settings, self._open = settings, open_recipe

    def _assign_mnemonics(self) -> None:
        self.clear()
        for path in map(Path, self._settings.recent):
            if path.is_file():
                action = self.addAction(_display_path(path).replace("&", "&&"))
                action.triggered.connect(lambda checked=False, path=path: self._open(path))
        if self.isEmpty():
            self.addAction(tr("No recipe yet")).setEnabled(False)
        super()._assign_mnemonics()


def _display_path(path: Path) -> str:
    """Return the path, relative to the home folder if it is inside."""
    home = Path.home()
    return str("~" / path.relative_to(home)) if path.is_relative_to(home) else str(path)
