"""Whoever uses no mouse reaches everything, and whoever does not see is told what it is."""

import re

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractScrollArea,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QMenuBar,
    QScrollArea,
    QScrollBar,
    QSlider,
    QSplitterHandle,
    QTabBar,
    QWidget,
)

from studio.ui.language import CHINESE, ENGLISH, language
from studio.ui.widgets.focus_ring import Ring
from studio.ui.widgets.menu import Menu
from studio.ui.widgets.parts import Column

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
    """What a screen reader says."""
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


def test_every_action_of_the_menu_can_be_called_from_the_keyboard(filled):
    menus = filled.findChild(QMenuBar).actions()
    assert all(menu.menu() is not None and menu.isEnabled() for menu in menus)
    names = [action.text() for action in filled.actions_by_call.values()]
    assert all(names)
    keys = [a.shortcut().toString() for a in filled.actions_by_call.values() if not a.shortcut().isEmpty()]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("spoken", [ENGLISH, CHINESE])
def test_every_entry_of_a_menu_has_a_letter_of_its_own(filled, spoken):
    language().use(spoken)
    bar = filled.findChild(QMenuBar)
    menus = [action.menu() for action in bar.actions()]
    menus += [filled.data.images.side_menu(), filled.data.images.label_menu(), filled.adapters.menu_at(QPoint(40, 60))]
    menus += [action.menu() for action in menus[-1].actions() if action.menu()]
    for menu in menus:
        menu.aboutToShow.emit()
    for actions in (bar.actions(), *(menu.actions() for menu in menus)):
        words = [action.text() for action in actions if action.text()]
        letters = [re.search(r"&(\w)", text.replace("&&", "")) for text in words]
        assert all(letters), words
        assert len({found[1].upper() for found in letters}) == len(letters), words
    language().use(ENGLISH)
    assert [menu.title() for menu in menus[:5]] == ["&File", "&Edit", "&Run", "&View", "&Help"]


def test_the_ampersand_of_a_name_is_not_taken_for_a_mark(qtbot):
    menu = Menu()
    qtbot.addWidget(menu)
    for words in ("R&&D", "Relabel", "猫"):
        menu.addAction(words)
    for _ in range(2):
        menu.aboutToShow.emit()
        assert [action.text() for action in menu.actions()] == ["&R&&D", "R&elabel", "猫(&1)"]


def test_what_has_no_ring_of_its_own_gets_one_from_the_keyboard(qtbot):
    window, box, field = QWidget(), QCheckBox("Only"), QLineEdit()
    qtbot.addWidget(window)
    window.setLayout(Column(box, field))
    window.show()
    window.activateWindow()
    field.setFocus()
    qtbot.waitUntil(field.hasFocus)
    assert not window.findChildren(Ring)
    before = window.grab().toImage()
    box.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(lambda: any(frame.isVisible() for frame in window.findChildren(Ring)))
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
