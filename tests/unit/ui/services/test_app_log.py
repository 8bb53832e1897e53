"""The log: a file that does not grow for ever, a page that shows it as it comes, errors with what helps."""

import errno
import logging
from pathlib import Path

import pytest
from PySide6.QtCore import qWarning
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMessageBox

from studio.core.errors import StudioError
from studio.ui.application import ErrorReporter
from studio.ui.i18n.language import CHINESE, ENGLISH, language
from studio.ui.services import app_log as logs
from studio.ui.services.app_log import MAX_LINES, app_log, log_message
from studio.ui.services.error_text import error_message


@pytest.fixture
def opened():
    app_log().lines.clear()
    app_log().open()
    yield app_log()
    app_log().close()


def test_a_report_does_not_name_the_user(opened, window):
    log_message(f"There is no folder {Path.home() / 'photos'}.", logging.ERROR)
    report = app_log().report("It broke.")
    assert report.startswith("It broke.\n\nPEFT Studio ")
    assert str(Path.home()) not in report
    assert "no folder ~" in report


def test_what_a_page_says_is_wrong_is_in_the_log_once(opened, window):
    for _ in range(2):
        window.train.banner.show_message("There is no folder y.", "bad")
    assert [line.text for line in opened.lines].count("There is no folder y.") == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "Not enough memory."),
        (
            OSError(errno.ENOSPC, "No space left on device", "x.json"),
            "Cannot write x.json: the disk is full.",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "x.json"), "No permission for x.json."),
        (OSError(errno.EIO, "Input/output error"), "Unexpected OSError"),
        (ValueError("odd"), "Unexpected ValueError: odd"),
    ],
)
def test_an_error_of_the_system_names_its_cause(qapp, error, words):
    assert error_message(error).startswith(words)


def test_the_file_is_begun_anew_when_it_grows_large(opened, home, monkeypatch):
    handler = opened._file
    handler.maxBytes = 10_000
    for number in range(500):
        log_message(f"{number} " + "x" * 80)
    files = sorted((home / "logs").iterdir())
    assert len(files) == 4
    assert sum(file.stat().st_size for file in files) < 50_000
    assert len(opened.lines) <= MAX_LINES


def test_a_folder_that_takes_no_file_is_no_error(home):
    (home / "logs").write_text("in the way")
    app_log().open()
    log_message("still here")
    app_log().close()
    assert app_log().lines[-1].text == "still here"


@pytest.mark.qt_log_level_fail("CRITICAL")
def test_what_qt_and_libraries_warn_of_is_in_the_log(opened):
    import warnings

    qWarning("from Qt")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("from Python", stacklevel=1)
    texts = [line.text for line in opened.lines]
    assert "from Qt" in texts
    assert any("from Python" in words for words in texts)


def test_rejected_edits_are_logged_in_english(opened, window):
    language().set_language(CHINESE)
    try:
        window.workspace.run_edit(_reject)
        shown = window.status_bar.status
    finally:
        language().set_language(ENGLISH)
    texts = [line.text for line in opened.lines]
    assert "There is no layer tree yet. Choose a backbone first." in texts
    assert shown not in texts


def _reject():
    raise StudioError("no-layers", "There is no layer tree yet. Choose a backbone first.")


def test_the_button_beside_an_error_acts(window):
    window.workspace.set_value("training.batch_size", 32)
    window.show_page("train")
    banner = window.page("train").banner
    banner.show_message(error_message(StudioError("out-of-memory", "Out of memory.")), "bad")
    halve, copy = banner.buttons
    halve.click()
    assert window.workspace.recipe.training.batch_size == 16
    copy.click()
    assert "Out of memory." in QGuiApplication.clipboard().text()


def test_an_unexpected_error_leads_to_the_log_and_a_report(opened, window, monkeypatch):
    pressed = []

    def run(box):
        buttons = {button.text(): button for button in box.buttons()}
        buttons["Copy report"].click()
        buttons["Open the log"].click()
        pressed.extend(buttons)
        assert box.escapeButton() is buttons["OK"]

    monkeypatch.setattr(QMessageBox, "exec", run)
    reporter = ErrorReporter()
    reporter.handle_error(ValueError, ValueError("of all things"), None)
    assert {"Copy report", "Open the log"} <= set(pressed)
    assert "of all things" in QGuiApplication.clipboard().text()
    assert window.pages.current_page is window.log
    assert logs.app_log().lines[-1].text.startswith("Unexpected ValueError: of all things\n")  # what the list shows
