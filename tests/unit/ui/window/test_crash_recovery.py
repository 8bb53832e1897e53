"""Unsaved edits outlive the process: kept a moment after each, offered at the next start."""

import os
import signal
import subprocess
import sys
import time

import pytest
from PySide6.QtWidgets import QMessageBox

from studio.core.recipe import Recipe
from studio.ui.window.main_window import MainWindow

PROGRAM = """
import sys
from pathlib import Path
from studio.ui.application import make_application
from studio.ui.window.main_window import MainWindow
app = make_application(["x"])
window = MainWindow()
window.show()
if len(sys.argv) > 1:
    window.files.open_path(Path(sys.argv[1]))
window.workspace.set_value("training.epochs", 77)
print("edited", flush=True)
app.exec()
"""


def kept(home):
    return [file for file in (home / "recovery").glob("*.json") if not file.name.startswith(".")]


def kill_after_an_edit(home, *arguments):
    """Let another process edit a recipe, and kill it once the edit is kept."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "edited"
    for _ in range(200):
        if kept(home):
            break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def answer(monkeypatch):
    """Answer the question that is asked next."""
    asked = []

    def give(button):
        def question(parent, heading, words, *rest):
            asked.append(words)
            return button

        monkeypatch.setattr(QMessageBox, "question", question)
        return asked

    return give


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_edits_of_a_killed_window_are_offered_and_restored(home, tmp_path, qtbot, qapp, answer):
    file = tmp_path / "mine.toml"
    Recipe().save(file)
    kill_after_an_edit(home, file)
    asked = answer(QMessageBox.StandardButton.Yes)
    window = MainWindow()
    window.files.offer_recovery(window.recovery)
    assert "mine.toml" in asked[0]
    assert window.workspace.recipe.training.epochs == 77
    assert window.isWindowModified()
    assert window.workspace.document.path == file
    window.undo()
    assert window.workspace.recipe.training.epochs == Recipe().training.epochs
    assert not window.isWindowModified()
    window.close()
    assert kept(home) == []


def test_discarded_edits_are_gone_and_unanswered_ones_stay(home, window, answer):
    kill_after_an_edit(home)
    answer(QMessageBox.StandardButton.Cancel)
    window.files.offer_recovery(window.recovery)
    assert len(kept(home)) == 1
    answer(QMessageBox.StandardButton.Discard)
    window.files.offer_recovery(window.recovery)
    assert kept(home) == []
    assert not window.isWindowModified()


def test_what_is_saved_or_undone_is_not_kept(home, window, tmp_path, qtbot):
    window.workspace.set_value("training.epochs", 5)
    qtbot.waitUntil(lambda: bool(kept(home)), timeout=5000)
    window.undo()
    qtbot.waitUntil(lambda: not kept(home), timeout=5000)
    window.workspace.set_value("training.epochs", 6)
    qtbot.waitUntil(lambda: bool(kept(home)), timeout=5000)
    window.workspace.document.save(tmp_path / "a.toml")
    qtbot.waitUntil(lambda: not kept(home), timeout=5000)


def test_a_window_that_runs_is_not_asked_about(home, window, qtbot, answer):
    window.workspace.set_value("training.epochs", 5)
    qtbot.waitUntil(lambda: bool(kept(home)), timeout=5000)
    asked = answer(QMessageBox.StandardButton.Yes)
    window.files.offer_recovery(window.recovery)
    assert asked == []


def test_a_damaged_file_is_passed_over(home, window, answer):
    folder = home / "recovery"
    folder.mkdir()
    (folder / "1-1.json").write_text("{")
    asked = answer(QMessageBox.StandardButton.Yes)
    window.files.offer_recovery(window.recovery)
    assert asked == []


def test_a_folder_that_takes_no_files_disturbs_nobody(home, window):
    (home / "recovery").write_text("a file stands in the way")
    window.workspace.set_value("training.epochs", 5)
    window.recovery.save()
    assert window.workspace.recipe.training.epochs == 5


def test_unsaved_edits_are_flushed_to_the_disk_before_they_get_their_name(window, monkeypatch, home):
    flushed = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (flushed.append(kept(home)), fsync(handle)))
    window.workspace.set_value("training.epochs", 78)
    window.recovery.save()
    assert len(kept(home)) == 1
    assert flushed
    assert flushed[0] == []  # the file has its name only after it is flushed
