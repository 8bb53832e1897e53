"""Log page."""

import logging
import threading

import pytest
from PySide6.QtCore import QThread
from PySide6.QtGui import QGuiApplication

from studio.ui.pages.log.page import LogPage
from studio.ui.services.app_log import app_log, log_message


@pytest.fixture
def opened():
    app_log().lines.clear()
    app_log().open()
    yield app_log()
    app_log().close()


def test_lines_go_to_a_file_and_to_the_page(opened, window, home):
    log_message("one")
    window.show_log()
    log_message("two", logging.ERROR)
    threading.Thread(target=log_message, args=("from a thread", logging.WARNING)).start()
    page = window.log
    expected = ["from a thread", "two", "one"]
    for _ in range(100):
        QGuiApplication.processEvents()
        if expected[0] in [row.text for row in page.model.rows]:
            break
        QThread.msleep(5)
    assert [row.text for row in page.model.rows][:3] == expected
    assert page.model.cells(page.model.rows[1])[1] == "Error"
    text = (home / "logs" / "studio.log").read_text(encoding="utf-8")
    assert all(line in text for line in expected)


def test_the_page_is_filtered_by_level_and_text(opened, window):
    log_message("all is well")
    log_message("careful", logging.WARNING)
    log_message("broken", logging.ERROR)
    page = window.log
    page.level.setCurrentIndex(2)
    page.level.activated.emit(2)
    assert [row.text for row in page.model.rows] == ["broken"]
    page.level.setCurrentIndex(0)
    page.search.setText("CAREF")
    assert [row.text for row in page.model.rows] == ["careful"]
    page.table.selectRow(0)
    assert page.entry_view.toPlainText() == "careful"


def test_a_report_can_be_copied(opened, window):
    log_message("what happened", logging.ERROR)
    window.log.copy_report()
    report = QGuiApplication.clipboard().text()
    assert report.startswith("PEFT Studio ")
    assert "ERROR what happened" in report


def test_a_filter_without_matches_and_an_empty_log_are_explained(window):
    window.show_log()
    page = window.log
    page.search.setText("nothing has this in it")
    assert page.empty_label.isVisible()
    assert page.empty_label.text().startswith("No matching entries")
    page.search.clear()
    assert page.empty_label.isVisible() == (not page.model.rows)
    app_log().lines.clear()
    page._apply_filter()
    assert page.empty_label.text() == "No entries yet."


def test_filter_and_selection_survive_a_rebuild_of_the_page(opened, window, qtbot):
    for text in ("one fish", "two fish", "bird"):
        log_message(text, logging.WARNING)
    page = window.log
    page.level.setCurrentIndex(1)
    page.search.setText("fish")
    page.table.selectRow(1)
    rebuilt = LogPage(window.workspace)
    qtbot.addWidget(rebuilt)
    rebuilt.restore_view_state(page.view_state())
    assert [row.text for row in rebuilt.model.rows] == ["two fish", "one fish"]
    assert rebuilt.entry_view.toPlainText() == "one fish"
    assert rebuilt.level.currentData() == logging.WARNING
