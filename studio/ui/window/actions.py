"""The window's actions as a table: menus, shortcuts and the list of keys are made from it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenuBar

from studio.core.messages import N_
from studio.ui.i18n.language import LANGUAGES, localized
from studio.ui.pages.registry import page_specs
from studio.ui.shared.error_actions import ActionWindow
from studio.ui.style.icons import IconTint
from studio.ui.widgets.menu import Menu, assign_mnemonics

FILE, EDIT, RUN, VIEW, HELP = N_("File"), N_("Edit"), N_("Run"), N_("View"), N_("Help")


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One entry of a menu; one without a text is a separator.

    ``slot`` is a method of the window or of a part of it; that of a page is called ``show_`` and the page's name.
    """

    menu: str
    text: str = ""
    slot: str = ""
    shortcut: str = ""
    icon: str = ""
    page: str = ""


_BEFORE_PAGES = (
    ActionSpec(FILE, N_("New recipe"), "files.new", "Ctrl+N", "new"),
    ActionSpec(FILE, N_("Open a recipe…"), "files.open", "Ctrl+O", "open"),
    ActionSpec(FILE, N_("Open a run…"), "files.open_run", "Ctrl+Shift+O"),
    ActionSpec(FILE, N_("Open the sample project"), "files.open_sample", "", "sample"),
    ActionSpec(FILE),
    ActionSpec(FILE, N_("Save"), "files.save", "Ctrl+S", "save"),
    ActionSpec(FILE, N_("Save as…"), "files.save_as", "Ctrl+Shift+S"),
    ActionSpec(FILE),
    ActionSpec(FILE, N_("Settings…"), "show_settings", "Ctrl+,"),
    ActionSpec(FILE, N_("Quit"), "close", "Ctrl+Q"),
    ActionSpec(EDIT, N_("Undo"), "undo", "Ctrl+Z", "undo"),
    ActionSpec(EDIT, N_("Redo"), "redo", "Ctrl+Shift+Z", "redo"),
    ActionSpec(RUN, N_("Start training"), "start_training", "Ctrl+R", "train"),
    ActionSpec(RUN, N_("Stop"), "stop_training", "Ctrl+.", "stop"),
)
_AFTER_PAGES = (
    ActionSpec(VIEW),
    ActionSpec(VIEW, N_("Light theme"), "light", "", "sun"),
    ActionSpec(VIEW, N_("Dark theme"), "dark", "", "moon"),
    ActionSpec(VIEW, N_("System theme"), "system_theme"),
    ActionSpec(VIEW),
    ActionSpec(VIEW, f"Language: {LANGUAGES['en']}", "english"),
    ActionSpec(VIEW, f"语言：{LANGUAGES['zh_CN']}", "chinese"),
    ActionSpec(HELP, N_("Keys"), "show_keys", "F1"),
    ActionSpec(HELP, N_("About PEFT Studio"), "about", "", "info"),
)


def action_specs() -> tuple[ActionSpec, ...]:
    """Return all actions in the order of the menus, with one for each page."""
    pages = (
        ActionSpec(spec.menu, spec.title, f"show_{spec.name}", spec.shortcut, spec.icon, spec.name)
        for spec in page_specs()
    )
    return (*_BEFORE_PAGES, *pages, *_AFTER_PAGES)


def build_menus(window: ActionWindow, bar: QMenuBar) -> dict[str, QAction]:
    """Fill the menu bar; return the actions by their slot."""
    menus: dict[str, Menu] = {}
    actions: dict[str, QAction] = {}
    for spec in action_specs():
        if spec.menu not in menus:
            menus[spec.menu] = Menu(bar, localized(spec.menu))
            bar.addMenu(menus[spec.menu])
        if spec.text:
            actions[spec.slot] = _make_action(window, bar, spec)
            menus[spec.menu].addAction(actions[spec.slot])
        else:
            menus[spec.menu].addSeparator()
    assign_mnemonics(bar.actions())
    return actions


def _make_action(window: ActionWindow, bar: QMenuBar, spec: ActionSpec) -> QAction:
    action = QAction(localized(spec.text), bar)
    action.setObjectName(spec.slot)
    call: Callable[[], object] = partial(window.show_page, spec.page) if spec.page else attrgetter(spec.slot)(window)
    action.triggered.connect(lambda checked=False: call())
    if spec.shortcut:
        action.setShortcut(QKeySequence(spec.shortcut))
    if spec.icon:
        IconTint(action, spec.icon, "muted")
    return action
