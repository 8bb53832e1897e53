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
from studio.ui.shared import error_actions
from studio.ui.widgets.components import Banner


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
        (MemoryError(), "There is not enough memory"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x.json"),
            "There is no room left on the disk to write x.json",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "x.json"), "This user may not read or write x.json"),
        (OSError(errno.EIO, "Input/output error"), "Unexpected OSError"),
        (ValueError("odd"), "Unexpected ValueError: odd"),
    ],
)
def test_what_befalls_any_program_is_said_with_its_cause(qapp, error, words):
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


def test_refusals_are_in_the_log_in_english(opened, window):
    language().set_language(CHINESE)
    try:
        window.workspace.edit_rejected.emit("没有文件夹")
        window.workspace.run_edit(_refuse)
    finally:
        language().set_language(ENGLISH)
    assert opened.lines[-1].text == "There is no folder x."


def _refuse():
    raise StudioError("There is no folder x.")


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        (
            "The memory is not enough for this training; lower training.batch_size, and train again.",
            "Halve the batch size",
        ),
        ("There are no images in x; choose a folder with a folder of images for each class.", "Choose a folder…"),
        ("This machine has no cuda; set training.device to auto or cpu.", "Choose the device by itself"),
        (
            "The run cannot be written any more (No space left on device); make room on the disk, then resume it from "
            "its last checkpoint.",
            "Show the folder of the runs",
        ),
        ("Unexpected ValueError: x", "Open the log"),
        ("Something nobody knows a way out of.", None),
    ],
)
@pytest.mark.parametrize("spoken", [ENGLISH, CHINESE])
def test_an_error_comes_with_the_button_that_helps(qapp, sentence, words, spoken):
    language().set_language(spoken)
    try:
        notice = Banner()
        notice.show_message(sentence, "bad")
        found = error_actions.action_for(notice.message)
        assert (found.label if found else None) == words
        assert notice._action_button.isVisibleTo(notice) == (words is not None)
    finally:
        language().set_language(ENGLISH)


def test_every_remedy_is_something_the_window_can_do(window):
    from operator import attrgetter

    assert all(callable(attrgetter(row.slot)(window)) for row in error_actions.ERROR_ACTIONS)


def test_the_button_does_what_it_says(window):
    window.workspace.set_value("training.batch_size", 32)
    notice = window.train.banner
    window.show_train()
    notice.show_message(
        "The memory is not enough for this training; lower training.batch_size, and train again.", "bad"
    )
    notice._action_button.click()
    assert window.workspace.recipe.training.batch_size == 16
    notice._copy_button.click()
    assert "batch_size" in QGuiApplication.clipboard().text()


def test_an_unexpected_error_leads_to_the_log_and_a_report(opened, window, monkeypatch):
    pressed = []

    def run(box):
        buttons = {button.text(): button for button in box.buttons()}
        buttons["Copy the report"].click()
        buttons["Open the log"].click()
        pressed.extend(buttons)
        assert box.escapeButton() is buttons["OK"]

    monkeypatch.setattr(QMessageBox, "exec", run)
    reporter = ErrorReporter()
    reporter.handle_error(ValueError, ValueError("of all things"), None)
    assert {"Copy the report", "Open the log"} <= set(pressed)
    assert "of all things" in QGuiApplication.clipboard().text()
    assert window.pages.current_page is window.log
    assert logs.app_log().lines[-1].text.startswith("Unexpected ValueError: of all things\n")  # what the list shows
