"""The window's actions as a table: menus, shortcuts and icons are made from it."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow

from studio.ui.i18n.language import tr
from studio.ui.style.icons import IconTint
from studio.ui.widgets.menu import Menu, assign_mnemonics


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One row: ``slot`` is a method of the window or of a part of it; a row without words is a line in the menu."""

    menu: str
    text: str = ""
    slot: str = ""
    shortcut: str = ""
    icon: str = ""


ACTIONS = (
    ActionSpec("File", "New recipe", "files.new", "Ctrl+N", "new"),
    ActionSpec("File", "Open a recipe…", "files.open", "Ctrl+O", "open"),
    ActionSpec("File", "Open a run…", "files.open_run", "Ctrl+Shift+O"),
    ActionSpec("File", "Open the sample project", "files.open_sample", "", "sample"),
    ActionSpec("File"),
    ActionSpec("File", "Save", "files.save", "Ctrl+S", "save"),
    ActionSpec("File", "Save as…", "files.save_as", "Ctrl+Shift+S"),
    ActionSpec("File"),
    ActionSpec("File", "Settings…", "show_settings", "Ctrl+,"),
    ActionSpec("File", "Quit", "close", "Ctrl+Q"),
    ActionSpec("Edit", "Undo", "undo", "Ctrl+Z", "undo"),
    ActionSpec("Edit", "Redo", "redo", "Ctrl+Shift+Z", "redo"),
    ActionSpec("Run", "Start training", "start_training", "Ctrl+R", "train"),
    ActionSpec("Run", "Stop", "stop_training", "Ctrl+.", "stop"),
    ActionSpec("View", "Data", "show_data", "Ctrl+1", "data"),
    ActionSpec("View", "Backbone and adapters", "show_adapters", "Ctrl+2", "layers"),
    ActionSpec("View", "Train", "show_train", "Ctrl+3", "train"),
    ActionSpec("View", "Results", "show_results", "Ctrl+4", "results"),
    ActionSpec("View", "Export", "show_export", "Ctrl+5", "export"),
    ActionSpec("View", "Compare runs", "show_compare", "Ctrl+6", "results"),
    ActionSpec("View", "Log", "show_log", "Ctrl+L"),
    ActionSpec("View"),
    ActionSpec("View", "Light theme", "light", "", "sun"),
    ActionSpec("View", "Dark theme", "dark", "", "moon"),
    ActionSpec("View", "Theme of the system", "system_theme"),
    ActionSpec("View"),
    ActionSpec("View", "Language: English", "english"),
    ActionSpec("View", "语言：简体中文", "chinese"),
    ActionSpec("Help", "Method guide", "show_guide", "Ctrl+F1", "info"),
    ActionSpec("Help", "Keys", "show_keys", "F1"),
    ActionSpec("Help", "About PEFT Studio", "about", "", "info"),
)


def build_menus(window: QMainWindow, table: tuple[ActionSpec, ...] = ACTIONS) -> dict[str, QAction]:
    """Fill the menu bar; return the actions by the name of their method."""
    menus: dict[str, Menu] = {}
    actions: dict[str, QAction] = {}
    for entry in table:
        if entry.menu not in menus:
            menus[entry.menu] = Menu(window, tr(entry.menu))
            window.menuBar().addMenu(menus[entry.menu])
        menu = menus[entry.menu]
        if entry.text:
            menu.addAction(actions.setdefault(entry.slot, _make_action(window, entry)))
        else:
            menu.addSeparator()
    assign_mnemonics(window.menuBar().actions())
    return actions


def _make_action(window: QMainWindow, spec: ActionSpec) -> QAction:
    action = QAction(tr(spec.text), window)
    action.setObjectName(spec.slot)
    call: Callable[[], object] = attrgetter(spec.slot)(window)
    action.triggered.connect(lambda checked=False: call())
    if spec.shortcut:
        action.setShortcut(QKeySequence(spec.shortcut))
    if spec.icon:
        IconTint(action, spec.icon, "muted")
    return action
