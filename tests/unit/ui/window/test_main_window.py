"""The window as a whole: start-up, steps, files, theme, errors."""

import subprocess
import sys
import threading

import pytest
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QFileDialog, QLabel, QMessageBox

from studio.core.recipe import Recipe
from studio.ui.application import ErrorReporter
from studio.ui.style.theme import DARK, LIGHT, Tokens, style_sheet, theme
from studio.ui.widgets.menu import strip_mnemonic


def test_the_window_needs_no_torch_to_come_up():
    program = (
        "import sys\n"
        "from studio.ui.application import make_application\n"
        "from studio.ui.window.main_window import MainWindow\n"
        "app = make_application(['x'])\n"
        "window = MainWindow()\n"
        "window.show()\n"
        "app.processEvents()\n"
        "print(sorted({'torch', 'timm', 'pyqtgraph', 'numpy'} & set(sys.modules)))\n"
        "window.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_steps_lead_from_left_to_right(window):
    assert window.pages.current_page is window.data
    window.data.next_button.click()
    assert window.pages.current_page is window.adapters
    window.actions_by_slot["show_export"].trigger()
    assert window.pages.current_page is window.export
    assert not window.export.next_button.isVisible()


def test_the_sample_project_fills_in_everything(ready, settled, qtbot):
    ready.files.open_sample()
    settled(ready)
    qtbot.waitUntil(lambda: ready.workspace.images.scan.summary is not None, timeout=30_000)
    recipe = ready.workspace.recipe
    assert recipe.backbone.name == "starter"
    assert recipe.data.path == "bundled:digits"
    assert recipe.attachments[0].slices == ("q", "v")
    assert ready.pages.current_page is ready.adapters
    assert ready.workspace.engine.last_counts.problems == {}


def test_the_star_comes_and_goes_and_a_recipe_is_saved_and_opened(window, tmp_path, monkeypatch):
    assert not window.isWindowModified()
    window.workspace.set_value("training.epochs", 4)
    assert window.isWindowModified()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (str(tmp_path / "mine"), ""))
    window.actions_by_slot["files.save"].trigger()
    assert not window.isWindowModified()
    assert window.windowTitle().startswith("mine.toml")
    assert Recipe.load(tmp_path / "mine.toml").training.epochs == 4
    window.files.new()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (str(tmp_path / "mine.toml"), ""))
    window.actions_by_slot["files.open"].trigger()
    assert window.workspace.recipe.training.epochs == 4


def test_changes_are_not_given_up_unasked(window, monkeypatch):
    window.workspace.set_value("training.epochs", 4)
    answers = [QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Discard]
    monkeypatch.setattr(QMessageBox, "question", lambda *a, **k: answers.pop(0))
    window.files.new()
    assert window.workspace.recipe.training.epochs == 4
    window.files.new()
    assert window.workspace.recipe == Recipe()


@pytest.mark.parametrize("text", ["no toml", "schema = 1\n[training]\nepochs = -1\n", "schema = 2\n"])
def test_a_broken_recipe_is_one_message(window, tmp_path, monkeypatch, text):
    said = []
    monkeypatch.setattr(QMessageBox, "exec", lambda box: said.append(box.text()))
    (tmp_path / "r.toml").write_text(text)
    window.files.open_path(tmp_path / "r.toml")
    window.files.open_path(tmp_path)
    assert len(said) == 2
    assert "r.toml" in said[0]
    assert "is not a run" in said[1]


def test_a_file_changed_by_another_window_is_not_replaced_without_a_question(window, tmp_path, monkeypatch):
    path = tmp_path / "r.toml"
    window.workspace.document.save(path)
    path.write_text("schema = 1\n")
    answers = [QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Save]
    monkeypatch.setattr(QMessageBox, "question", lambda *a, **k: answers.pop(0))
    assert not window.files.save()
    assert path.read_text() == "schema = 1\n"
    assert window.files.save()
    assert "[training]" in path.read_text()


def test_a_recipe_that_is_dropped_takes_no_edits_away_without_a_question(window, tmp_path, monkeypatch):
    Recipe().save(tmp_path / "r.toml")
    window.workspace.set_value("training.epochs", 4)
    answers = [QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Discard]
    monkeypatch.setattr(QMessageBox, "question", lambda *a, **k: answers.pop(0))
    window._dropped(tmp_path / "r.toml")
    assert window.workspace.recipe.training.epochs == 4
    window._dropped(tmp_path / "r.toml")
    assert window.workspace.document.path == tmp_path / "r.toml"


def test_recipes_opened_lately_are_in_a_menu_and_take_no_edits_away_unasked(window, tmp_path, monkeypatch):
    paths = [tmp_path / "first & second.toml", tmp_path / "third.toml", tmp_path / "gone.toml"]
    for path in paths:
        window.workspace.document.recipe.save(path)
        assert window.files.open_path(path)
    paths[2].unlink()
    window.recent.aboutToShow.emit()
    third, first = window.recent.actions()
    assert [strip_mnemonic(action.text()) for action in (third, first)] == [
        str(paths[1]),
        str(paths[0]).replace("&", "&&"),
    ]
    first.trigger()
    assert window.workspace.document.path == paths[0]
    window.workspace.set_value("training.epochs", 77)
    with monkeypatch.context() as unasked:
        unasked.setattr(window.files, "confirm_discard", lambda: False)
        third.trigger()
    assert window.workspace.document.path == paths[0]


def test_a_plugin_that_cannot_be_loaded_is_said(window, monkeypatch):
    monkeypatch.setattr(
        window.workspace.engine, "plugin_errors", lambda: ("The plugin x (y) could not be loaded (no z).",)
    )
    window.workspace.engine.loaded.emit()
    assert any("could not be loaded" in label.text() for label in window.status_bar.findChildren(QLabel))


def luminance(color):
    def linear(value):
        return value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4

    return sum(w * linear(v) for w, v in zip((0.2126, 0.7152, 0.0722), QColor(color).getRgbF()[:3], strict=True))


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        ("text", "surface"),
        ("text", "ground"),
        ("muted", "surface"),
        ("muted", "ground"),
        ("accent", "accent_soft"),
        ("on_accent", "accent"),
        ("adapter", "adapter_soft"),
        ("adapter", "surface"),
        ("head", "head_soft"),
        ("frozen", "surface"),
        ("bad", "surface"),
        ("good", "surface"),
        ("text", "bad_soft"),
        ("text", "good_soft"),
        ("text", "adapter_soft"),
    ],
)
def test_text_can_be_read_on_its_ground(tokens: Tokens, ink, ground):
    assert contrast(getattr(tokens, ink), getattr(tokens, ground)) >= 4.5


def test_the_style_sheet_uses_only_colors_of_the_theme():
    assert "$" not in style_sheet(LIGHT)
    assert style_sheet(LIGHT).count("#") > 50
    assert {c for c in style_sheet(DARK).split() if c.startswith("#")}.isdisjoint({"#ffffff;", "#000000;"})


@pytest.mark.slow
def test_light_and_dark_are_switched_live_and_remembered(window, qapp, qtbot):
    window.dark()
    assert qapp.palette().window().color() == QColor(DARK.ground)
    assert window.settings.theme == "dark"
    window.theme_button.click()
    qtbot.waitUntil(lambda: theme().tokens is LIGHT)
    assert qapp.palette().window().color() == QColor(LIGHT.ground)


def test_an_error_in_any_thread_reaches_the_user(qapp, qtbot, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(ErrorReporter, "show", lambda self, caught: shown.append(caught))
    reporter = ErrorReporter()
    reporter.install()
    try:
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        qtbot.waitUntil(lambda: bool(shown))
    finally:
        reporter.remove()
    words, report = shown[0]
    assert words.startswith("Unexpected ZeroDivisionError")
    assert "Traceback" in report
    assert "ZeroDivisionError" in capsys.readouterr().err
