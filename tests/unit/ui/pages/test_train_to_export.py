"""Training, results and export in the window, on a backbone that trains in a second."""

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMessageBox

from studio.ui.pages.export.page import ExportPage

YES, NO = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No


@pytest.fixture
def finish(qtbot):
    def wait(window):
        qtbot.waitUntil(lambda: not window.workspace.trainer.running, timeout=60_000)

    return wait


@pytest.fixture
def trained(prepared, finish):
    window = prepared()
    window.train.start_button.click()
    finish(window)
    return window


def drawn(plot):
    return len(plot.series[0].x) if plot.series else 0


def test_a_run_is_trained_and_its_curves_are_drawn(trained, qtbot):
    page, history = trained.train, trained.train.watcher.history
    assert page.plots_card.status_label.text().startswith("Finished after")
    assert "best validation accuracy" in page.plots_card.best_label.text()
    assert page.plots_card.bar.value() == 1000
    assert len(history.training_loss.x) == history.started.steps
    assert len(history.validation_accuracy.x) == 4
    qtbot.waitUntil(lambda: drawn(page.plots_card.loss_plot) == history.started.steps, timeout=5000)
    assert page.run_list.model.index(0, 1).data() == "completed"
    assert page.start_button.isVisible()


def test_a_frozen_copy_is_trained(prepared, finish):
    window = prepared()
    recipe = window.workspace.recipe
    window.train.start_button.click()
    window.workspace.set_value("training.epochs", 7)
    finish(window)
    assert window.workspace.runs.selected.recipe == recipe
    assert window.workspace.recipe.training.epochs == 7


def test_a_second_run_keeps_the_first(trained, finish):
    first = trained.workspace.runs.selected
    trained.train.start_button.click()
    finish(trained)
    assert len(trained.workspace.runs.rows) == 2
    assert trained.workspace.runs.selected.path != first.path


def test_a_stopped_run_can_be_resumed(prepared, finish, qtbot):
    window = prepared(epochs=200)
    window.train.start_button.click()
    qtbot.waitUntil(lambda: window.train.watcher.history.step > 5, timeout=30_000)
    assert window.train.stop_button.isVisible()
    assert not window.train.start_button.isVisible()
    window.train.stop_button.click()
    finish(window)
    page = window.train
    assert page.plots_card.status_label.text().startswith("Stopped")
    stopped_at = page.watcher.history.step
    assert page.resume_button.isVisible()
    page.resume_button.click()
    qtbot.waitUntil(lambda: page.watcher.history.step > stopped_at + 3, timeout=30_000)
    page.stop_button.click()
    finish(window)
    assert len(window.workspace.runs.rows) == 1


def test_a_recipe_that_cannot_be_trained_shows_the_reason_and_leaves_no_run(prepared, finish, home):
    window = prepared()
    window.workspace.change_attachment("lora", {"at": ("nowhere",)})
    window.train.start_button.click()
    finish(window)
    assert "No layer matches nowhere" in window.train.banner.message
    assert not list((home / "runs").glob("*")) if (home / "runs").exists() else True
    assert window.train.start_button.isVisible()


def test_an_old_run_opens_with_its_curves(trained, prepared):
    run = trained.workspace.runs.selected
    trained.files.open_path(run.path)
    assert trained.train.watcher.history.ended is not None
    assert trained.workspace.recipe == run.recipe
    assert trained.pages.current_page is trained.train


def test_closing_during_training_asks_and_stops(prepared, qtbot, monkeypatch):
    window = prepared(epochs=2000)
    window.train.start_button.click()
    qtbot.waitUntil(lambda: window.train.watcher.history.step > 3, timeout=30_000)
    answers = [NO, YES]
    monkeypatch.setattr(QMessageBox, "question", lambda *a, **k: answers.pop(0))
    assert not window.close()
    assert window.workspace.trainer.running
    assert window.close()
    run = window.workspace.trainer.run
    assert run.status["state"] == "stopped"
    assert (run.path / "checkpoints" / "last").exists()


def test_exports_are_listed_and_verified(trained, qtbot):
    from studio.export.contract import EXPORTERS

    trained.show_export()
    page = trained.export
    qtbot.waitUntil(lambda: bool(page.cards), timeout=30_000)
    assert set(page.cards) == {exporter.name for exporter in EXPORTERS}
    page.select_format("merged")
    page.export_button.click()
    qtbot.waitUntil(lambda: page.result_notice.property("tone") in ("good", "bad"), timeout=60_000)
    assert page.result_notice.message.startswith("Exported and verified on 6 images")
    assert "Same top class: 100.00 %" in page.result_details.text()
    assert (trained.workspace.runs.selected.path / "exports" / "merged" / "model.safetensors").exists()
    page.export_button.click()
    qtbot.waitUntil(lambda: page.result_notice.property("tone") == "bad", timeout=60_000)
    assert "already exists" in page.result_notice.message


def test_a_float16_export_shows_its_license_and_how_to_try_it(trained, qtbot, tmp_path):
    trained.show_export()
    page = trained.export
    qtbot.waitUntil(lambda: bool(page.cards), timeout=30_000)
    assert "No license is stated" in page.license_banner.message
    page.select_format("adapter")
    page.folder_edit.setText(str(tmp_path / "my export"))
    page.half_precision_box.setChecked(True)
    page.export_button.click()
    assert page.bar.isVisible()
    qtbot.waitUntil(lambda: page.result_notice.property("tone") in ("good", "bad"), timeout=60_000)
    assert not page.bar.isVisible()
    assert page.result_notice.property("tone") == "good"
    page.command.copy_button.click()
    assert QGuiApplication.clipboard().text() == f'peft-studio predict "{tmp_path / "my export"}" IMAGE'


def test_a_running_export_and_its_result_survive_a_rebuild_of_the_page(trained, qtbot, tmp_path):
    trained.show_export()
    page = trained.export
    qtbot.waitUntil(lambda: bool(page.cards), timeout=30_000)
    page.select_format("adapter")
    page.folder_edit.setText(str(tmp_path / "out"))
    page.export()
    rebuilt = ExportPage(trained.workspace)
    qtbot.addWidget(rebuilt)
    rebuilt.restore_view_state(page.view_state())
    rebuilt.show()
    assert not rebuilt.export_button.isEnabled()
    qtbot.waitUntil(lambda: rebuilt.result_notice.property("tone") == "good", timeout=60_000)
    assert rebuilt.format == "adapter"
    assert rebuilt.folder_edit.text() == str(tmp_path / "out")
    assert rebuilt.export_button.isEnabled()
    again = ExportPage(trained.workspace)
    qtbot.addWidget(again)
    again.restore_view_state(rebuilt.view_state())
    assert again.result_details.text() == rebuilt.result_details.text() != ""
    qtbot.waitUntil(lambda: not trained.workspace.worker.busy, timeout=30_000)
    qtbot.wait(50)


def test_without_runs_results_and_export_show_the_next_step(ready):
    for page in (ready.results, ready.export):
        assert page.stack.currentIndex() == 0
        assert "Train a recipe first" in page.empty.description.text()
