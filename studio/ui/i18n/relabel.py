"""Says again, in another language, everything that is on screen."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QStandardItemModel
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QComboBox,
    QGroupBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QTableWidget,
    QTabWidget,
    QTreeWidget,
    QWidget,
)

from studio.ui.i18n.language import language
from studio.ui.widgets.menu import strip_mnemonic

_Pair = tuple[type[QObject], str, str]
_TEXTS: tuple[_Pair, ...] = (
    (QWidget, "toolTip", "setToolTip"),
    (QWidget, "windowTitle", "setWindowTitle"),
    (QWidget, "accessibleName", "setAccessibleName"),
    (QWidget, "accessibleDescription", "setAccessibleDescription"),
    (QLabel, "text", "setText"),
    (QAbstractButton, "text", "setText"),
    (QGroupBox, "title", "setTitle"),
    (QLineEdit, "placeholderText", "setPlaceholderText"),
    (QPlainTextEdit, "placeholderText", "setPlaceholderText"),
    (QMenu, "title", "setTitle"),
    (QAction, "text", "setText"),
    (QAction, "toolTip", "setToolTip"),
)
_SOURCES = "said-from"
VERBATIM = "verbatim"
"""A widget with this property set shows what is the user's own, such as a class: it is left as it is."""


def everything() -> None:
    """Say again all texts of all widgets and actions of the application, and draw anew what paints its own.

    A widget that makes up its texts in a way of its own has a method ``retranslate``, which is called afterwards.
    """
    widgets = QApplication.allWidgets()
    for widget in widgets:
        again(widget)
    for widget in widgets:
        if callable(say := getattr(widget, "retranslate", None)):
            say()


def again(thing: QObject) -> None:
    """Say again the texts of ``thing`` and of its actions."""
    for action in thing.actions() if isinstance(thing, QWidget) else ():
        _each(action)
    if isinstance(thing, QComboBox):
        _choices(thing)
    elif isinstance(thing, QTabWidget):
        _tabs(thing)
    elif isinstance(thing, QTableWidget):
        _cells(thing)
    elif isinstance(thing, QTreeWidget):
        _titles(thing)
    _each(thing)
    if isinstance(thing, QHeaderView) and thing.model() is not None:
        thing.headerDataChanged(thing.orientation(), 0, max(0, thing.count() - 1))
    if isinstance(thing, QAbstractItemView):
        thing.viewport().update()
    elif isinstance(thing, QWidget):
        thing.update()


def _each(thing: QObject) -> None:
    if thing.property(VERBATIM):
        return
    plain_tip = isinstance(thing, QAction) and thing.toolTip() == strip_mnemonic(thing.text())
    for kind, get, put in _TEXTS:
        if isinstance(thing, kind) and not (plain_tip and get == "toolTip"):  # Qt makes it of the text by itself
            _one(thing, get, _reader(thing, get), getattr(thing, put))


def _reader(thing: QObject, get: str) -> Callable[[], str]:
    """How to read a text of ``thing``: that of a menu without the mark of its letter."""
    read: Callable[[], str] = getattr(thing, get)
    in_menu = isinstance(thing, QAction | QMenu) and get in ("text", "title")
    return (lambda: strip_mnemonic(read())) if in_menu else read


def _one(thing: QObject, name: str, get: Callable[[], str], put: Callable[[str], object]) -> None:
    shown = get()
    said = _said(thing, name, shown)
    if said != shown:
        put(said)


def _said(thing: QObject, name: str, shown: str) -> str:
    """One text again. What it was said from is kept at ``thing``: two texts may have the same translation."""
    words = shown.strip()
    if not words:
        return shown
    sources = thing.property(_SOURCES) or {}
    source, last = sources.get(name, (words, words))
    source = source if last == words else words
    said = language().retranslated(source)
    if said != words:
        thing.setProperty(_SOURCES, {**sources, name: (source, said)})
    return shown.replace(words, said)


def _choices(box: QComboBox) -> None:
    if not isinstance(box.model(), QStandardItemModel) or box.property(VERBATIM):
        return
    role = Qt.ItemDataRole.ToolTipRole
    for row in range(box.count()):
        box.setItemText(row, _said(box, f"item {row}", box.itemText(row)))
        if tip := box.itemData(row, role):
            box.setItemData(row, _said(box, f"tip {row}", str(tip)), role)


def _tabs(tabs: QTabWidget) -> None:
    for number in range(tabs.count()):
        tabs.setTabText(number, _said(tabs, f"tab {number}", tabs.tabText(number)))
        tabs.setTabToolTip(number, _said(tabs, f"tip {number}", tabs.tabToolTip(number)))


def _cells(table: QTableWidget) -> None:
    for row in range(table.rowCount()):
        for column in range(table.columnCount()):
            if cell := table.item(row, column):
                cell.setText(_said(table, f"cell {row} {column}", cell.text()))


def _titles(tree: QTreeWidget) -> None:
    head = tree.headerItem()
    for column in range(tree.columnCount()):
        head.setText(column, _said(tree, f"title {column}", head.text(column)))
        head.setToolTip(column, _said(tree, f"tip {column}", head.toolTip(column)))
