"""Dialogs of the menu: settings, and the keyboard shortcuts."""

from functools import partial

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QGridLayout,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from studio.core import paths
from studio.core.messages import N_
from studio.ui.i18n.language import LANGUAGES, SYSTEM, has_glyphs, language, localized, tr
from studio.ui.services.app_log import app_log
from studio.ui.services.settings import Settings
from studio.ui.style.theme import theme
from studio.ui.widgets.components import Banner, HBox, VBox, button, text_label
from studio.ui.widgets.fields import guard_wheel
from studio.ui.window.actions import action_specs

THEMES = {"system": N_("System"), "light": N_("Light"), "dark": N_("Dark")}
FOCUS_SHORTCUTS = (
    ("Enter", N_("Attach the chosen method to the selected layers")),
    ("Ctrl+Shift+Enter", N_("Attach it to all layers of the same kind")),
    ("Delete", N_("Remove the attachments of the selected layers")),
    ("Ctrl+C, Ctrl+X, Ctrl+V", N_("Copy, move and paste an attachment in the tree")),
    ("Tab", N_("Move to the next control")),
    ("Shift+Tab", N_("Move to the previous control")),
    ("Space", N_("Press the button or toggle the switch")),
    ("Esc", N_("Close a dialog")),
)
"""Keys that work in the control with the focus."""


class SettingsDialog(QDialog):
    """Language, theme and folders; a choice takes effect at once."""

    def __init__(self, settings: Settings, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Settings"))
        self.setMinimumWidth(420)
        self.language = _combo_box(tr("Language"))
        self.language.addItem(tr("System"), SYSTEM)
        for code, name in LANGUAGES.items():
            self.language.addItem(name, code)
        self.theme = _combo_box(tr("Theme"))
        for name, label in THEMES.items():
            self.theme.addItem(localized(label), name)
        self.banner = Banner("warn", glyph_warning())
        self._build()
        self.language.setCurrentIndex(max(0, self.language.findData(settings.language)))
        self.theme.setCurrentIndex(max(0, self.theme.findData(settings.theme)))
        self.language.activated.connect(lambda row: set_language(settings, self.language.currentData()))
        self.theme.activated.connect(lambda row: set_theme(settings, self.theme.currentData()))

    def _build(self) -> None:
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(10)
        folders = ((tr("Runs and settings"), paths.data_dir()), (tr("Log"), app_log().path.parent))
        for row, (name, field) in enumerate(((tr("Language"), self.language), (tr("Theme"), self.theme))):
            label = text_label(name, "field")
            label.setBuddy(field)
            grid.addWidget(label, row, 0)
            grid.addWidget(field, row, 1)
        for row, (name, folder) in enumerate(folders, 2):
            show = button(tr("Show folder"), partial(show_folder, str(folder)), "folder")
            show.setToolTip(str(folder))
            show.setAccessibleDescription(name)
            grid.addWidget(text_label(name, "field"), row, 0)
            grid.addWidget(show, row, 1)
        close = button(tr("Close"), self.accept, kind="primary")
        close.setDefault(True)
        self.setLayout(VBox(grid, self.banner, 4, HBox(None, close), gap=12, margins=(20, 18, 20, 18)))


class ShortcutsDialog(QDialog):
    """The shortcuts of the actions, and the keys of the focused control."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Keys"))
        self.resize(460, 560)
        shown = [(_key_text(spec.shortcut), localized(spec.text)) for spec in action_specs() if spec.shortcut]
        shown += [(keys, localized(text)) for keys, text in FOCUS_SHORTCUTS]
        self.table = QTableWidget(len(shown), 2)
        self.table.setAccessibleName(tr("Keys"))
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setTabKeyNavigation(False)
        self.table.setShowGrid(False)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().hide()
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.setColumnWidth(0, 170)
        for row, pair in enumerate(shown):
            for column, text in enumerate(pair):
                self.table.setItem(row, column, QTableWidgetItem(text))
        close = button(tr("Close"), self.accept, kind="primary")
        close.setDefault(True)
        self.setLayout(VBox((self.table, 1), HBox(None, close), gap=12, margins=(20, 18, 20, 18)))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)


def _key_text(shortcut: str) -> str:
    return QKeySequence(shortcut).toString(QKeySequence.SequenceFormat.NativeText)


def _combo_box(name: str) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    guard_wheel(box)
    return box


def set_theme(settings: Settings, choice: str) -> None:
    """Show the window in a theme, now and from now on."""
    settings.theme = choice
    theme().apply(choice)


def set_language(settings: Settings, choice: str) -> str:
    """Show the window in a language, now and from now on; return :func:`glyph_warning`."""
    settings.language = choice
    language().set_language(choice)
    return glyph_warning()


def glyph_warning() -> str:
    """Return a sentence if this machine has no typeface for the window's language, else an empty text."""
    if has_glyphs(language().code):
        return ""
    return N_("This machine has no Chinese typeface. Install one, such as Noto Sans CJK.")


def show_folder(path: str) -> None:
    """Open a folder in the file manager."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(path))
