"""In Chinese no text of the window is English, and no value of the user is Chinese."""

import re

import pytest
from PySide6.QtCore import QAbstractItemModel, QAbstractListModel, QModelIndex, Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QHeaderView,
    QMenu,
    QTabWidget,
    QWidget,
)

from studio.core.recipe import Attachment
from studio.ui.i18n.language import CHINESE, ENGLISH, LANGUAGES, language, tr
from studio.ui.pages.registry import page_specs
from tests.unit.ui.dialogs import dialogs

HAN = re.compile("[\u4e00-\u9fff]")
OWN_NAME = LANGUAGES[CHINESE]
NAMES = {"norm", "head", "tiny", "Block"}
"""Names of layers and types of the network, which are not translated."""
READ = ("text", "toolTip", "placeholderText", "accessibleName", "accessibleDescription", "windowTitle", "title")
ROLES = (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole)
FIRST_ROWS = 40


@pytest.fixture(autouse=True)
def _english_again(qapp):
    yield
    language().set_language(ENGLISH)


def texts(root: QWidget) -> dict[tuple[str, str], str]:
    """Each text of ``root`` and of what is in it, by the kind of its widget and where it stands there."""
    found = {}
    for widget in (root, *root.findChildren(QWidget)):
        found |= {(type(widget).__name__, where): words for where, words in _of(widget)}
    return {key: words.replace("&", "") for key, words in found.items() if words.strip()}


def _plain(thing):
    for get in READ:
        value = getattr(thing, get, None)
        if callable(value) and isinstance(words := value(), str) and not words.startswith("<"):
            yield get, words


def _of(widget):
    number = id(widget)
    for thing in (widget, *widget.actions()):
        yield from ((f"{get} {id(thing)}", words) for get, words in _plain(thing))
    if isinstance(widget, QComboBox):
        yield from ((f"choice {row} {number}", widget.itemText(row)) for row in range(widget.count()))
    elif isinstance(widget, QTabWidget):
        yield from ((f"tab {row} {number}", widget.tabText(row)) for row in range(widget.count()))
    elif isinstance(widget, QHeaderView) and widget.model() is not None and not widget.isHidden():
        yield from ((f"{where} {number}", words) for where, words in _titles(widget))
    elif isinstance(widget, QAbstractItemView) and widget.model() is not None:
        yield from ((f"{where} {number}", words) for where, words in _cells(widget.model(), QModelIndex(), ""))


def _titles(header):
    for section in range(header.count()):
        for role in ROLES:
            if isinstance(words := header.model().headerData(section, header.orientation(), role), str):
                yield f"title {section} {role}", words


def _cells(model: QAbstractItemModel, parent: QModelIndex, before: str):
    for row in range(min(model.rowCount(parent), FIRST_ROWS)):
        for column in range(1 if isinstance(model, QAbstractListModel) else model.columnCount(parent)):
            index = model.index(row, column, parent)
            for role in ROLES:
                if isinstance(words := index.data(role), str):
                    yield f"cell {before}{row},{column} {role.name}", words
        if len(before) < 4:
            yield from _cells(model, model.index(row, 0, parent), f"{before}{row}/")


def places(window):
    """Each page with its tabs, and each dialog: its name, and the widget."""
    for spec in page_specs():
        window.show_page(spec.name)
        for _ in range(3):
            QApplication.processEvents()
        yield f"page {spec.name}", window.page(spec.name)
    for menu in window.findChildren(QMenu):
        menu.aboutToShow.emit()
    yield "menus", window.menuBar()
    for dialog in dialogs(window):
        dialog.show()
        QApplication.processEvents()
        yield type(dialog).__name__, dialog
        dialog.close()


def left(window, is_foreign):
    """The texts that are of the other language, with their places."""
    found = {}
    for place, widget in places(window):
        for (kind, where), words in texts(widget).items():
            if is_foreign(words):
                found.setdefault(words, f"{place}, {kind}, {where}")
    return found


def is_english(words):
    """Whether ``words`` is a text of the catalog, in English."""
    return not HAN.search(words) and words not in NAMES and tr(words) != words  # not a literal: it is a test


def is_chinese(words):
    return bool(HAN.search(words.replace(f"语言：{OWN_NAME}", "").replace(OWN_NAME, "")))


@pytest.fixture
def trained(filled, make_recipe, settled, qtbot):
    """The window with the sample images once seen, and a tiny recipe trained."""
    workspace = filled.workspace
    workspace.document.new(make_recipe())
    settled(filled)
    filled.start_training()
    qtbot.waitUntil(lambda: not workspace.trainer.running and bool(workspace.runs.rows), timeout=60_000)
    filled.show_page("results")
    qtbot.waitUntil(lambda: filled.results.stack.currentIndex() == 1, timeout=60_000)
    filled.show_page("export")
    qtbot.waitUntil(lambda: bool(filled.export.cards), timeout=60_000)
    return filled


def idle(window, qtbot):
    qtbot.waitUntil(lambda: not window.workspace.worker.busy and not window.workspace.engine.busy, timeout=60_000)


def test_nothing_is_left_of_the_other_language(trained, settled, qtbot):
    idle(trained, qtbot)
    trained.chinese()
    settled(trained)
    idle(trained, qtbot)
    assert left(trained, is_english) == {}
    idle(trained, qtbot)
    trained.english()
    settled(trained)
    assert left(trained, is_chinese) == {}


def test_values_of_the_user_stay_as_they_are(ready, settled, make_recipe, tmp_path, qtbot):
    """Attachments, files and classes that are called like texts of the window."""
    names = ("adapter", "Train", "full")
    made = tuple(Attachment(name=n, method="lora", at=("blocks.*.attn.qkv",), config={"rank": 2}) for n in names)
    recipe = make_recipe().model_copy(update={"attachments": made[:1]})
    path = tmp_path / "Train"
    recipe.save(path.with_suffix(".toml"))
    language().set_language(CHINESE)
    ready.files.open_path(path.with_suffix(".toml"))
    settled(ready)
    ready.workspace.change_attachment("adapter", {"enabled": False})
    ready.show_page("adapters")
    shown = "\n".join(texts(ready.page("adapters")).values()) + ready.windowTitle() + ready.undo_button.toolTip()
    assert "Train.toml" in shown
    assert "adapter" in ready.undo_button.toolTip()
    assert tr("adapter") not in ready.undo_button.toolTip()
