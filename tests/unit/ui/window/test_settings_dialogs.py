"""Settings hold at once and the next time; the list of keys is that of the menu."""

import pytest
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QDialog

from studio.ui.i18n.language import CHINESE, ENGLISH, language
from studio.ui.services.settings import Settings
from studio.ui.style.theme import theme
from studio.ui.window.actions import action_specs
from studio.ui.window.settings_dialogs import SettingsDialog, ShortcutsDialog


@pytest.fixture(autouse=True)
def _as_it_was(qapp):
    yield
    language().set_language(ENGLISH)
    theme().apply("light")


def choose(box, data):
    box.setCurrentIndex(box.findData(data))
    box.activated.emit(box.currentIndex())


def test_language_and_theme_hold_at_once_and_the_next_time(window, qtbot):
    window.actions_by_slot["show_settings"].trigger()
    dialog = window.findChild(SettingsDialog)
    choose(dialog.language, CHINESE)
    dialog = next(d for d in window.findChildren(SettingsDialog) if d.isVisible())
    assert dialog.windowTitle() == "设置"
    choose(dialog.theme, "dark")
    dialog = next(d for d in window.findChildren(SettingsDialog) if d.isVisible())
    assert window.train.start_button.text() == "开始训练"
    assert theme().tokens.dark
    again = Settings()
    assert (again.language, again.theme) == (CHINESE, "dark")
    dialog.accept()


def test_the_list_of_keys_is_that_of_the_menu(window):
    window.actions_by_slot["show_keys"].trigger()
    dialog = window.findChild(ShortcutsDialog)
    shown = [dialog.table.item(row, 0).text() for row in range(dialog.table.rowCount())]
    native = QKeySequence.SequenceFormat.NativeText
    assert shown[: sum(bool(entry.shortcut) for entry in action_specs())] == [
        QKeySequence(entry.shortcut).toString(native) for entry in action_specs() if entry.shortcut
    ]
    assert isinstance(dialog, QDialog)
    dialog.accept()


def test_no_two_actions_have_the_same_key():
    keys = [entry.shortcut for entry in action_specs() if entry.shortcut]
    assert len(keys) == len(set(keys))
