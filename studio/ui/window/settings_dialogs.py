"""Small dialogs of the menu: settings, and which keys do what."""

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
from studio.ui.i18n.language import CHINESE, LANGUAGES, SYSTEM, has_glyphs, language, tr
from studio.ui.services.app_log import app_log
from studio.ui.services.settings import Settings
from studio.ui.style.theme import theme
from studio.ui.widgets.components import Banner, HBox, VBox, button, text_label
from studio.ui.widgets.fields import guard_wheel
from studio.ui.window.actions import ACTIONS

THEMES = {"system": "Like the system", "light": "Light", "dark": "Dark"}
FOCUS_SHORTCUTS = (
    ("Enter", "Attach the chosen method to the selected layers"),
    ("Ctrl+Shift+Enter", "Attach it to all layers of the same kind"),
    ("Delete", "Remove what is attached to the selected layers"),
    ("Ctrl+C, Ctrl+X, Ctrl+V", "Copy, move and paste an attachment in the tree"),
    ("Tab", "Go to the next control"),
    ("Shift+Tab", "Go to the control before"),
    ("Space", "Press the button, or turn the switch"),
    ("Esc", "Close a dialog"),
)
"""Keys that work where the focus is."""


class SettingsDialog(QDialog):
    """Language, theme, and where things are kept; what is chosen holds at once."""

    def __init__(self, settings: Settings, parent: QWidget) -> None:
        super().__init__(parent)
        self._settings = settings
        self.setWindowTitle(tr("Settings"))
        self.setMinimumWidth(420)
        self.language = _combo_box(tr("Language"))
        self.language.addItem(tr("Like the system"), SYSTEM)
        for code, name in LANGUAGES.items():
            self.language.addItem(name, code)
        self.theme = _combo_box(tr("Theme"))
        for name, words in THEMES.items():
            self.theme.addItem(tr(words), name)
        self.banner = Banner()
        self._build()
        self.language.setCurrentIndex(max(0, self.language.findData(settings.language)))
        self.theme.setCurrentIndex(max(0, self.theme.findData(settings.theme)))
        self.language.activated.connect(lambda row: self._change_language())
        self.theme.activated.connect(lambda row: set_theme(self._settings, self.theme.currentData()))

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
            show = button(tr("Show the folder"), partial(show_folder, str(folder)), "folder")
            show.setToolTip(str(folder))
            show.setAccessibleDescription(name)
            grid.addWidget(text_label(name, "field"), row, 0)
            grid.addWidget(show, row, 1)
        close = button(tr("Close"), self.accept, kind="primary")
        close.setDefault(True)
        self.setLayout(VBox(grid, self.banner, 4, HBox(None, close), gap=12, margins=(20, 18, 20, 18)))

    def _change_language(self) -> None:
        self.banner.show_message(set_language(self._settings, self.language.currentData()), "warn")


class ShortcutsDialog(QDialog):
    """Every shortcut, from the table of actions."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Keys"))
        self.resize(460, 560)
        rows = [(QKeySequence(entry.shortcut), tr(entry.text)) for entry in ACTIONS if entry.shortcut]
        shown = [(keys.toString(QKeySequence.SequenceFormat.NativeText), words) for keys, words in rows]
        shown += [(tr(keys), tr(words)) for keys, words in FOCUS_SHORTCUTS]
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
            for column, words in enumerate(pair):
                self.table.setItem(row, column, QTableWidgetItem(words))
        close = button(tr("Close"), self.accept, kind="primary")
        close.setDefault(True)
        self.setLayout(VBox((self.table, 1), HBox(None, close), gap=12, margins=(20, 18, 20, 18)))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)


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
    """Let the window speak a language, now and from now on; a sentence where this machine cannot draw its letters."""
    settings.language = choice
    language().set_language(choice)
    if has_glyphs(language().code):
        return ""
    return (
        tr("This machine has no Chinese typeface; install one, such as Noto Sans CJK.")
        if language().code == CHINESE
        else ""
    )


def show_folder(path: str) -> None:
    """Open a folder in the system's own window."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(path))
