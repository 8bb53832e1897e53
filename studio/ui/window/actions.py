"""The window's actions as a table: menus, shortcuts and icons are made from it."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow

from studio.ui.i18n.language import tr
from studio.ui.style.icons import Tint
from studio.ui.widgets.menu import Menu, mark


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: ``call`` is a method of the window or of a part of it; a row without words is a line in the menu."""

    menu: str
    words: str = ""
    call: str = ""
    keys: str = ""
    icon: str = ""


TABLE = (
    Entry("File", "New recipe", "files.new", "Ctrl+N", "new"),
    Entry("File", "Open a recipe…", "files.open", "Ctrl+O", "open"),
    Entry("File", "Open a run…", "files.open_run", "Ctrl+Shift+O"),
    Entry("File", "Open the sample project", "files.open_sample", "", "sample"),
    Entry("File"),
    Entry("File", "Save", "files.save", "Ctrl+S", "save"),
    Entry("File", "Save as…", "files.save_as", "Ctrl+Shift+S"),
    Entry("File"),
    Entry("File", "Settings…", "show_settings", "Ctrl+,"),
    Entry("File", "Quit", "close", "Ctrl+Q"),
    Entry("Edit", "Undo", "undo", "Ctrl+Z", "undo"),
    Entry("Edit", "Redo", "redo", "Ctrl+Shift+Z", "redo"),
    Entry("Run", "Start training", "start_training", "Ctrl+R", "train"),
    Entry("Run", "Stop", "stop_training", "Ctrl+.", "stop"),
    Entry("View", "Data", "show_data", "Ctrl+1", "data"),
    Entry("View", "Backbone and adapters", "show_adapters", "Ctrl+2", "layers"),
    Entry("View", "Train", "show_train", "Ctrl+3", "train"),
    Entry("View", "Results", "show_results", "Ctrl+4", "results"),
    Entry("View", "Export", "show_export", "Ctrl+5", "export"),
    Entry("View", "Compare runs", "show_compare", "Ctrl+6", "results"),
    Entry("View", "Log", "show_log", "Ctrl+L"),
    Entry("View"),
    Entry("View", "Light theme", "light", "", "sun"),
    Entry("View", "Dark theme", "dark", "", "moon"),
    Entry("View", "Theme of the system", "system_theme"),
    Entry("View"),
    Entry("View", "Language: English", "english"),
    Entry("View", "语言：简体中文", "chinese"),
    Entry("Help", "Method guide", "show_guide", "Ctrl+F1", "info"),
    Entry("Help", "Keys", "show_keys", "F1"),
    Entry("Help", "About PEFT Studio", "about", "", "info"),
)


def build(window: QMainWindow, table: tuple[Entry, ...] = TABLE) -> dict[str, QAction]:
    """Fill the menu bar; return the actions by the name of their method."""
    menus: dict[str, Menu] = {}
    actions: dict[str, QAction] = {}
    for entry in table:
        if entry.menu not in menus:
            menus[entry.menu] = Menu(window, tr(entry.menu))
            window.menuBar().addMenu(menus[entry.menu])
        menu = menus[entry.menu]
        if entry.words:
            menu.addAction(actions.setdefault(entry.call, _action(window, entry)))
        else:
            menu.addSeparator()
    mark(window.menuBar().actions())
    return actions


def _action(window: QMainWindow, entry: Entry) -> QAction:
    action = QAction(tr(entry.words), window)
    action.setObjectName(entry.call)
    call: Callable[[], object] = attrgetter(entry.call)(window)
    action.triggered.connect(lambda checked=False: call())
    if entry.keys:
        action.setShortcut(QKeySequence(entry.keys))
    if entry.icon:
        Tint(action, entry.icon, "muted")
    return action
