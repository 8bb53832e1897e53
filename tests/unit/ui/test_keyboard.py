"""Every control is reachable by keyboard and has a name for screen readers."""

import re
import warnings
from itertools import pairwise

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QAccessible
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractScrollArea,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QDialog,
    QLabel,
    QLineEdit,
    QMenuBar,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QScrollBar,
    QSlider,
    QSplitterHandle,
    QTabBar,
    QWidget,
)

from studio.ui.i18n.language import CHINESE, ENGLISH, language
from studio.ui.widgets.components import VBox, button
from studio.ui.widgets.menu import Menu
from studio.ui.window.focus_ring import RingOverlay
from tests.unit.ui.dialogs import dialogs

CONTROLS = (QAbstractButton, QLineEdit, QComboBox, QAbstractSpinBox, QAbstractItemView, QSlider, QTabBar)


def shown(window, kind=QWidget):
    return [widget for widget in window.findChildren(kind) if widget.isVisibleTo(window)]


def focusable(window):
    """Controls that Tab leads to: those that are not a part of another control."""
    kinds = (*CONTROLS, QAbstractScrollArea)
    found = [w for w in shown(window) if isinstance(w, kinds) and w.focusPolicy() & Qt.FocusPolicy.TabFocus]
    return [w for w in found if w.isEnabled() and not isinstance(w, QScrollBar) and not _is_part(w)]


def _is_part(widget):
    return isinstance(widget.parentWidget(), QComboBox | QAbstractSpinBox | QAbstractItemView)


def pages(window):
    for number in range(window.pages.count()):
        window.show_step(number)
        QApplication.processEvents()
        yield number


def name_of(widget):
    """Return the name that a screen reader speaks."""
    buddy = next((label.text() for label in widget.window().findChildren(QLabel) if label.buddy() is widget), "")
    text = widget.text() if isinstance(widget, QAbstractButton) else ""
    return widget.accessibleName() or text or buddy


def test_every_control_has_a_name(filled):
    nameless = [
        (number, type(widget).__name__, widget.objectName(), widget.toolTip())
        for number in pages(filled)
        for widget in focusable(filled)
        if not name_of(widget) and not isinstance(widget, QScrollArea)
    ]
    assert nameless == []


def test_every_control_that_can_be_pressed_can_be_reached(filled):
    """A button, a field or a list that takes no focus has a shortcut or stands in the menu, or shows only."""
    unreachable = [
        (number, type(widget).__name__, name_of(widget))
        for number in pages(filled)
        for widget in shown(filled, QAbstractButton)
        if widget.isEnabled() and not widget.focusPolicy() & Qt.FocusPolicy.TabFocus and not _is_part(widget)
    ]
    assert unreachable == []


def test_tab_goes_through_all_controls_of_a_page(filled, qtbot):
    filled.activateWindow()
    for number in pages(filled):
        wanted = set(focusable(filled))
        seen = set()
        widget = filled
        while (widget := widget.nextInFocusChain()) is not filled:
            seen.add(widget)
        assert [(number, name_of(w)) for w in wanted - seen] == []


def test_each_dialog_is_worked_with_keys_alone(filled, qtbot):
    """Tab leads to all of its controls in the order of reading; each has a name; Escape leaves, Enter presses."""
    wrong, kept = {}, []
    for dialog in dialogs(filled):
        kept.append(dialog)  # with its buttons rewired, it must not go while Qt still tells it something
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)  # it is closed and shown again
        dialog.activateWindow()
        QApplication.processEvents()
        path = walked(dialog)
        found = {
            "no name": [type(w).__name__ for w in focusable(dialog) if not name_of(w)],
            "not reached": [name_of(w) for w in set(focusable(dialog)) - set(path) if not _is_passed_with_arrows(w)],
            "order": steps_back(dialog, path)[1:],  # one step back there is, from the last to the first
            "escape": [name_of(w) for w in path if not escapes(dialog, w)],
            "enter": [name_of(w) for w in path if not enters(dialog, w)] if isinstance(dialog, QDialog) else [],
        }
        if any(found.values()):
            wrong[type(dialog).__name__, dialog.windowTitle()] = {key: each for key, each in found.items() if each}
        dialog.close()
    assert wrong == {}


def walked(dialog):
    """Return the controls that Tab reaches from the first one, until one repeats."""
    order, widget = [], dialog
    while (widget := widget.nextInFocusChain()) is not dialog:
        order.append(widget)
    next(w for w in order if w in focusable(dialog)).setFocus(Qt.FocusReason.TabFocusReason)
    path = []
    while (widget := dialog.focusWidget()) not in path:
        path.append(widget)
        QTest.keyClick(widget, Qt.Key.Key_Tab)
    return path


def _is_passed_with_arrows(widget):
    return isinstance(widget, QRadioButton) and not widget.isChecked()


def steps_back(dialog, path):
    """Return the moves of the focus that run against the reading order."""
    return [(name_of(a), name_of(b)) for a, b in pairwise([*path, path[0]]) if not reads_on(a, b, dialog)]


def reads_on(before, after, dialog):
    """Return whether ``after`` is below ``before``, or further right in the same line."""
    a, b = (QRect(w.mapTo(dialog, QPoint()), w.size()) for w in (before, after))
    same_line = a.top() <= b.center().y() <= a.bottom() or b.top() <= a.center().y() <= b.bottom()
    return b.left() > a.left() if same_line else b.top() > a.top()


def escapes(dialog, widget):
    widget.setFocus()
    QTest.keyClick(widget, Qt.Key.Key_Escape)
    left = not dialog.isVisible()
    dialog.show()
    return left


def enters(dialog, widget):
    """Return whether Enter presses the focused button, or else the default one; the buttons do nothing."""
    default = next(b for b in dialog.findChildren(QPushButton) if b.property("kind") == "primary")
    wanted, pressed = widget if isinstance(widget, QPushButton) else default, []
    for each in dialog.findChildren(QPushButton):
        with warnings.catch_warnings(action="ignore"):  # the button may have no connection left
            each.clicked.disconnect()
        each.clicked.connect(lambda checked=False, each=each: pressed.append(each))
    widget.setFocus()
    QTest.keyClick(widget, Qt.Key.Key_Return)
    return pressed == [wanted]


@pytest.mark.parametrize("words", ["Measure now", "Cancel"])
def test_a_button_is_called_what_it_says(qtbot, words):
    made = button("Measure now")
    qtbot.addWidget(made)
    made.setText(words)
    heard = QAccessible.queryAccessibleInterface(made).text(QAccessible.Text.Name)
    assert heard == words


def test_every_action_of_the_menu_can_be_called_from_the_keyboard(filled):
    menus = filled.findChild(QMenuBar).actions()
    assert all(menu.menu() is not None and menu.isEnabled() for menu in menus)
    names = [action.text() for action in filled.actions_by_slot.values()]
    assert all(names)
    keys = [a.shortcut().toString() for a in filled.actions_by_slot.values() if not a.shortcut().isEmpty()]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("spoken", [ENGLISH, CHINESE])
def test_every_entry_of_a_menu_has_a_letter_of_its_own(filled, spoken):
    language().set_language(spoken)
    bar = filled.menuBar()
    menus = [action.menu() for action in bar.actions()]
    menus += [
        filled.data.images_tab.split_menu(),
        filled.data.images_tab.label_menu(),
        filled.adapters.menu_at(QPoint(40, 60)),
    ]
    menus += [action.menu() for action in menus[-1].actions() if action.menu()]
    for menu in menus:
        menu.aboutToShow.emit()
    for actions in (bar.actions(), *(menu.actions() for menu in menus)):
        words = [action.text() for action in actions if action.text()]
        letters = [re.search(r"&(\w)", text.replace("&&", "")) for text in words]
        assert all(letters), words
        assert len({found[1].upper() for found in letters}) == len(letters), words
    language().set_language(ENGLISH)
    assert [action.text() for action in filled.menuBar().actions()] == ["&File", "&Edit", "&Run", "&View", "&Help"]


def test_the_ampersand_of_a_name_is_not_taken_for_a_mnemonic(qtbot):
    menu = Menu()
    qtbot.addWidget(menu)
    for text in ("R&&D", "Relabel", "猫", "编辑 lora", "&Delete"):
        menu.addAction(text)
    for _ in range(2):
        menu.aboutToShow.emit()
        texts = [action.text() for action in menu.actions()]
        assert texts == ["&R&&D", "R&elabel", "猫(&1)", "编辑 lora(&2)", "&Delete"]


def test_what_has_no_ring_of_its_own_gets_one_from_the_keyboard(qtbot):
    window, box, field = QWidget(), QCheckBox("Only"), QLineEdit()
    qtbot.addWidget(window)
    window.setLayout(VBox(box, field))
    window.show()
    window.activateWindow()
    field.setFocus()
    qtbot.waitUntil(lambda: window.isActiveWindow() and field.hasFocus())
    assert not window.findChildren(RingOverlay)
    before = window.grab().toImage()
    qtbot.keyClick(field, Qt.Key.Key_Backtab)
    qtbot.waitUntil(lambda: any(frame.isVisible() for frame in window.findChildren(RingOverlay)))
    area = box.geometry().adjusted(-2, -2, 2, 2)
    assert window.grab().toImage().copy(area) != before.copy(area)


def test_a_page_is_reached_and_a_switch_turned_with_keys_alone(filled, qtbot):
    filled.activateWindow()
    QTest.keyClick(filled, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    switch = filled.adapters.inspector.head_switch
    before = filled.workspace.recipe.head.trainable
    switch.setFocus()
    QTest.keyClick(switch, Qt.Key.Key_Space)
    assert filled.workspace.recipe.head.trainable != before
    assert not isinstance(filled.focusWidget(), QSplitterHandle)
