"""A change of language or theme builds the window anew and keeps what the user looks at."""

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QMessageBox, QSplitter

from studio.ui.i18n.language import ENGLISH, language
from studio.ui.pages.registry import PAGES, PLUGIN_GROUP, PageSpec, page_specs, register, step_specs
from studio.ui.style.theme import theme


@pytest.fixture(autouse=True)
def _as_before(qapp):
    yield
    language().set_language(ENGLISH)
    theme().apply("light")


def looks(window):
    """The ways to change the look, twice each."""
    return (window.chinese, window.dark, window.english, window.light)


def test_page_tree_selection_and_splitters_survive(filled, qtbot):
    filled.show_page("adapters")
    page = filled.page("adapters")
    page.tree_panel.tree.expandAll()
    model = page.tree_panel.model
    index = model.index_of(next(ref for ref in model._tree_data.number_of if ref.path.endswith("blocks.3.attn.qkv")))
    page.tree_panel.tree.setCurrentIndex(index)
    page.tree_panel.tree.scrollTo(index)
    splitter = page.findChild(QSplitter)
    splitter.setSizes([260, 500, 320])
    sizes = splitter.sizes()
    for change in looks(filled):
        before = filled.page("adapters")
        change()
        now = filled.page("adapters")
        assert now is not before
        assert filled.pages.current_page is now
        assert [ref.path for ref in now.tree_panel.tree.selected_refs()] == ["blocks.3.attn.qkv"]
        qtbot.waitUntil(lambda now=now: now.findChild(QSplitter).sizes() == sizes)


def test_the_history_speaks_the_language_and_still_undoes(filled, settled):
    workspace = filled.workspace
    before = workspace.recipe
    workspace.set_value("training.epochs", before.training.epochs + 1)
    assert workspace.document.undo_stack.undoText().startswith("Change")
    filled.chinese()
    assert workspace.document.undo_stack.undoText().startswith("更改")
    assert "更改" in filled.actions_by_slot["undo"].text()
    filled.undo()
    assert workspace.recipe == before


def test_a_running_training_continues_and_its_run_stays_in_view(prepared, qtbot):
    window = prepared(epochs=400)
    window.start_training()
    workspace = window.workspace
    qtbot.waitUntil(lambda: workspace.trainer.run is not None, timeout=60_000)
    run = workspace.trainer.run
    for change in looks(window):
        qtbot.waitUntil(lambda: not workspace.worker.busy, timeout=60_000)
        change()
        assert workspace.trainer.running
        assert workspace.runs.selected == run
        assert window.pages.current_name == "train"
        assert not window.actions_by_slot["start_training"].isEnabled()
        assert window.page("train").stop_button.isEnabled()
    workspace.trainer.stop()
    qtbot.waitUntil(lambda: not workspace.trainer.running, timeout=60_000)
    qtbot.waitUntil(lambda: window.actions_by_slot["start_training"].isEnabled())


def test_pages_are_built_one_at_a_time_while_the_window_is_idle(window, qtbot):
    assert list(window.pages._pages) == ["data"]
    qtbot.waitUntil(lambda: len(window.pages._pages) == len(page_specs()), timeout=10_000)
    qtbot.waitUntil(lambda: not window.pages._idle_timer.isActive(), timeout=10_000)


def test_the_old_pages_are_deleted(window, qtbot):
    before = window.page("train")
    gone = []
    before.destroyed.connect(lambda: gone.append(True))
    window.chinese()
    qtbot.waitUntil(lambda: bool(gone))
    window.workspace.document.edit("x", window.workspace.recipe.model_copy(update={"attachments": ()}))
    window.workspace.runs.changed.emit(())
    window.workspace.trainer.failed.emit("x")
    window.workspace.edit_rejected.emit("x")


def test_a_result_for_a_page_that_was_deleted_is_dropped(window, qtbot):
    page, delivered = window.page("results"), []
    worker = window.workspace.runs.worker
    window.chinese()
    QApplication.sendPostedEvents(None, 52)  # QEvent::DeferredDelete
    worker.submit(lambda: 1, lambda value: delivered.append(page.isVisible()))
    worker.submit(lambda: 2, lambda value: delivered.append(value))
    qtbot.waitUntil(lambda: delivered == [2])


def test_an_open_question_is_not_interrupted(window, qtbot, monkeypatch):
    seen = []

    def answer():
        box = QApplication.activeModalWidget()
        language_before = window.view
        window.chinese()
        seen.append(window.view is language_before)
        box.reject()

    QTimer.singleShot(0, answer)
    QMessageBox.information(window, "x", "y")
    assert seen == [True]
    qtbot.waitUntil(lambda: window.page("train").start_button.text() == "开始训练")


def test_the_theme_changes_with_the_button_of_the_header(window, qtbot):
    window.theme_button.click()
    qtbot.waitUntil(lambda: theme().tokens.dark)
    window.theme_button.click()
    qtbot.waitUntil(lambda: not theme().tokens.dark)


def test_a_plugin_adds_a_page(qapp, qtbot, monkeypatch):
    from studio.ui.pages.base import Page
    from tests.windows import StudioWindow

    assert PLUGIN_GROUP == "peft_studio.pages"
    spec = register(PageSpec("extra", "Extra", "data", lambda w: Page(w, "Extra", "A page"), "Ctrl+9", step=6))
    try:
        made = StudioWindow()
        made.actions_by_slot["show_extra"].trigger()
        assert made.pages.current_name == "extra"
        assert made.actions_by_slot["show_extra"].shortcut().toString() == "Ctrl+9"
        assert step_specs()[-1] is spec
        made.close()
        made.deleteLater()
    finally:
        del PAGES._items["extra"]
