"""Each dialog and panel that opens over the pages of the window."""

from collections.abc import Iterator
from unittest.mock import patch

from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from studio.training.estimation.lr_finder import LRFinderResult
from studio.ui.pages.adapters.compare_bar import CompareBar
from studio.ui.pages.train import lr_finder_dialog
from studio.ui.pages.train.lr_finder_dialog import LRFinderDialog
from studio.ui.window.resource_button import ResourceButton
from studio.ui.window.settings_dialogs import SettingsDialog, ShortcutsDialog
from tests.windows import StudioWindow as MainWindow

FOUND = LRFinderResult((1e-5, 1e-4, 1e-3, 1e-2), (2.3, 2.0, 1.2, 3.0), 2e-4, clear=True)


def dialogs(window: MainWindow) -> Iterator[QWidget]:
    """Each of them, opened; the window counts the layers of its recipe already."""
    for action, kind in (("show_settings", SettingsDialog), ("show_keys", ShortcutsDialog)):
        window.actions_by_slot[action].trigger()
        yield [dialog for dialog in window.findChildren(kind) if dialog.isVisible()][-1]
    window.adapters.choose_backbone()
    yield window.adapters.dialog
    window.show_adapters()
    yield two_recipes(window)
    yield rate_finder(window)
    window.adapters.inspector.head_switch.click()  # a step that the history can list
    window.history_button.open_popup()
    yield window.history_button.popup
    button = window.findChild(ResourceButton)
    button.open_panel()
    yield button.panel


def two_recipes(window: MainWindow) -> QWidget:
    """The dialog with the recipe beside another."""
    comparing = window.adapters.findChild(CompareBar)
    other = window.workspace.recipe.model_copy(update={"attachments": ()})
    comparing.compare(other, "a recipe with quite a long name.toml")
    comparing.open_side_by_side()
    return comparing.dialog


def rate_finder(window: MainWindow) -> QWidget:
    """The dialog that has found a learning rate, without the steps of training that it takes."""
    dialog = LRFinderDialog(window.workspace, window)
    with patch.object(lr_finder_dialog, "_run_lr_finder", lambda recipe, control: FOUND):
        dialog.start()
        while not dialog.use_button.isVisible():
            QTest.qWait(5)
    return dialog
