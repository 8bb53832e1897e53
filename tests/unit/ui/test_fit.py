"""Every text fits its place in the smallest window, in every language and theme."""

import itertools

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QHeaderView, QLabel, QStyle, QWidget

from studio.ui.i18n.language import CHINESE, ENGLISH, language
from studio.ui.style.theme import theme
from tests.unit.ui.dialogs import dialogs

SMALLEST = QSize(1080, 680)


@pytest.fixture(autouse=True)
def _as_it_was(qapp):
    yield
    language().set_language(ENGLISH)
    theme().apply("light")


def clipped(window: QWidget) -> list[str]:
    """Return the texts that are cut off and not repeated in a tool tip."""
    found = []
    for widget in window.findChildren(QWidget):
        if not widget.isVisible():
            continue
        if isinstance(widget, QLabel):
            cut = _label_is_cut(widget)
        elif isinstance(widget, QAbstractButton):
            cut = bool(widget.text()) and not _holds(widget, widget.minimumSizeHint().expandedTo(widget.sizeHint()))
        elif isinstance(widget, QComboBox):
            cut = _choice_is_cut(widget)
        elif isinstance(widget, QHeaderView):
            cut = False
            found += [f"column {words}" for words in _cut_columns(widget)]
        else:
            continue
        if cut:
            words = widget.text() if hasattr(widget, "text") else widget.currentText()
            found.append(
                f"{type(widget).__name__} {words!r} has {widget.size().toTuple()}, wants {widget.sizeHint().toTuple()}"
            )
    return found


def clipped_when_settled(window: QWidget, qtbot) -> list[str]:
    """Return :func:`clipped` once it is empty, or after a second: nested layouts need several turns of the loop."""
    for _ in range(3):
        QApplication.processEvents()
    for _ in range(20):
        if not clipped(window):
            return []
        qtbot.wait(50)
    return clipped(window)


def _holds(widget: QWidget, wanted: QSize) -> bool:
    return widget.width() >= wanted.width() - 1 and widget.height() >= wanted.height() - 1


def _label_is_cut(label: QLabel) -> bool:
    words = label.text()
    if not words or label.pixmap().width() or label.textFormat() == Qt.TextFormat.RichText:
        return False
    room = label.contentsRect()
    if label.wordWrap():
        needs = label.heightForWidth(label.width())
        widest = max(label.fontMetrics().horizontalAdvance(word) for word in words.split())
        hanging = not any("\u4e00" <= letter <= "\u9fff" for letter in words) and widest > room.width() + 1
        return (label.height() < needs - 1 or hanging) and not label.toolTip()
    needs = label.fontMetrics().size(0, words)
    return (room.width() < needs.width() - 1 or room.height() < needs.height() - 1) and not label.toolTip()


def _choice_is_cut(box: QComboBox) -> bool:
    room = box.style().subControlRect(
        QStyle.ComplexControl.CC_ComboBox, _option(box), QStyle.SubControl.SC_ComboBoxEditField, box
    )
    tip = box.toolTip() or box.itemData(box.currentIndex(), Qt.ItemDataRole.ToolTipRole)
    return box.fontMetrics().horizontalAdvance(box.currentText()) > room.width() and not tip


def _option(box: QComboBox):
    from PySide6.QtWidgets import QStyleOptionComboBox

    option = QStyleOptionComboBox()
    box.initStyleOption(option)
    return option


def _cut_columns(header: QHeaderView) -> list[str]:
    model = header.model()
    if model is None or header.orientation() != Qt.Orientation.Horizontal:
        return []
    titles = [(n, str(model.headerData(n, header.orientation()) or "")) for n in range(header.count())]
    told = {n for n, _ in titles if model.headerData(n, header.orientation(), Qt.ItemDataRole.ToolTipRole)}
    shown = [(n, words) for n, words in titles if not header.isSectionHidden(n) and n not in told]
    return [words for n, words in shown if header.fontMetrics().horizontalAdvance(words) > header.sectionSize(n)]


def test_no_text_is_cut(filled, settled, qtbot):
    cut = {}
    for spoken, look in itertools.product((ENGLISH, CHINESE), ("light", "dark")):
        language().set_language(spoken)
        theme().apply(look)
        settled(filled)
        for number in range(filled.pages.count()):
            filled.show_step(number)
            found = clipped_when_settled(filled, qtbot)
            assert filled.size() == SMALLEST
            if found:
                cut[spoken, look, number] = found
    assert cut == {}


def test_no_text_of_a_dialog_is_cut(filled, qtbot):
    cut = {}
    for spoken in (ENGLISH, CHINESE):
        language().set_language(spoken)
        for dialog in dialogs(filled):
            dialog.show()
            usual, least = dialog.size(), dialog.minimumSizeHint().expandedTo(dialog.minimumSize())
            for size in (usual, least):
                dialog.resize(size)
                if found := clipped_when_settled(dialog, qtbot):
                    cut[spoken, type(dialog).__name__, dialog.windowTitle(), size.toTuple()] = found
            dialog.close()
    assert cut == {}


def test_a_text_that_does_not_fit_is_found(qtbot):
    window, label = QWidget(), QLabel("A sentence of some length")
    qtbot.addWidget(window)
    label.setParent(window)
    label.resize(60, 20)
    window.show()
    assert len(clipped(window)) == 1
