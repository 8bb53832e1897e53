"""Start the window with a run, and print as JSON what it offers of plugins."""

import json
import sys
from pathlib import Path

from PySide6.QtWidgets import QApplication, QToolButton

from studio.core.run import Run
from studio.ui.application import make_application
from studio.ui.pages.export.export_options import load_export_options
from studio.ui.window.actions import action_specs
from studio.ui.window.settings_dialogs import ShortcutsDialog
from tests.windows import StudioWindow


def main(run: Path) -> None:
    application = make_application(["peft-studio"], "light")
    window = StudioWindow()
    window.show()
    window.start()
    while not window.workspace.engine.ready:
        application.processEvents()
    print(json.dumps(offered(window, run)))
    window.workspace.document.undo_stack.setClean()
    window.close()


def offered(window: StudioWindow, run: Path) -> dict[str, object]:
    """Return the texts of steps, menus, keys and choosers, and the text of the plugin's page."""
    keys = ShortcutsDialog(window)
    chooser = window.data.chooser.build_button(lambda: None)
    window.export._show_options(load_export_options(Run.open(run)))
    window.view.show_page("notes")
    QApplication.processEvents()
    return {
        "steps": [button.text().strip() for button in window.steps.findChildren(QToolButton)],
        "menus": [spec.text for spec in action_specs() if spec.menu == "View"],
        "keys": [keys.table.item(row, 0).text() for row in range(keys.table.rowCount())],
        "sources": [action.text().replace("&", "") for action in chooser.menu().actions()],
        "exports": list(window.export.cards),
        "methods": [row.name for row in window.workspace.engine.method_rows()],
        "page": window.view.pages.current_page.text.text(),
        "backbone": window.workspace.document.recipe.backbone.name,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
