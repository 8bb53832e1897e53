"""Train page: pausing, queue, several runs, advice, gradient norms on the layer tree."""

import json
import shutil

import numpy as np
import pytest
from PySide6.QtCore import QItemSelectionModel, Qt
from PySide6.QtWidgets import QInputDialog

from studio.core import events
from studio.core.run import Run
from studio.training import grad_norms
from studio.training.run_io.lock import run_lock
from studio.ui.pages.train import run_status_text
from studio.ui.pages.train.page import TrainPage
from studio.ui.pages.train.plot_series import series_for
from studio.ui.pages.train.plots_card import PlotsCard
from studio.ui.pages.train.run_history import RunHistory
from studio.ui.shared.grad_norms import GradNorms
from studio.ui.shared.line_plot import LinePlot, PlotSeries
from studio.ui.style.theme import color, theme

LONG = 60_000


def is_idle(window):
    return not window.workspace.trainer.running


def steps(window):
    return window.train.watcher.history.step


def select(page, *rows):
    model, flags = page.run_list.table.selectionModel(), QItemSelectionModel.SelectionFlag
    for row in rows:
        model.select(page.run_list.model.index(row, 0), flags.Select | flags.Rows)


# pausing


def test_a_run_pauses_resumes_and_saves_a_checkpoint(prepared, qtbot):
    window = prepared(epochs=2000)
    page = window.train
    page.start_button.click()
    qtbot.waitUntil(lambda: steps(window) > 3, timeout=LONG)
    page.save_button.click()
    qtbot.waitUntil(lambda: page.watcher.history.last_checkpoint is not None, timeout=LONG)
    page.pause_button.click()
    assert page.pause_button.text() == "Resume"
    qtbot.waitUntil(lambda: page.watcher.history.paused, timeout=LONG)
    qtbot.waitUntil(lambda: window.workspace.runs.rows[0].state == "paused", timeout=1000)
    assert page.plots_card.status_label.text().startswith("Paused in epoch")
    paused_at = steps(window)
    qtbot.wait(300)
    assert steps(window) == paused_at
    page.pause_button.click()
    qtbot.waitUntil(lambda: steps(window) > paused_at, timeout=LONG)
    page.pause_button.click()
    window.workspace.runs._locked_paths = frozenset({page.watcher.run.path})  # as a poll during the training leaves it
    page.stop_button.click()
    qtbot.waitUntil(lambda: is_idle(window), timeout=LONG)
    assert page.plots_card.status_label.text().startswith("Stopped")
    assert page.resume_button.isVisible()


def test_a_completed_run_trains_for_more_epochs(prepared, qtbot, monkeypatch):
    window = prepared(epochs=1)
    page = window.train
    page.start()
    qtbot.waitUntil(lambda: is_idle(window), timeout=LONG)
    assert page.train_more_button.isVisible()
    assert not page.resume_button.isVisible()
    monkeypatch.setattr(QInputDialog, "getInt", lambda *a: (3, True))
    page.train_more_button.click()
    qtbot.waitUntil(lambda: is_idle(window), timeout=LONG)
    assert page.watcher.history.epoch == 3
    assert window.workspace.runs.selected.recipe.training.epochs == 3
    assert len(window.workspace.runs.rows) == 1


# the queue


def test_queued_recipes_train_in_order(prepared, qtbot):
    window = prepared(epochs=2000)
    page = window.train
    page.start_button.click()
    for epochs in (1, 2):
        window.workspace.set_value("training.epochs", epochs)
        page.queue_button.click()
    assert [page.queue_card.list.item(i).text()[:2] for i in range(2)] == ["1.", "2."]
    page.queue_card.list.setCurrentRow(1)
    qtbot.keyClick(page.queue_card.list, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert [row.recipe.training.epochs for row in window.workspace.queue.rows] == [2, 1]
    assert page.queue_card.list.currentRow() == 0
    qtbot.waitUntil(lambda: steps(window) > 2, timeout=LONG)
    page.stop_button.click()
    qtbot.waitUntil(lambda: is_idle(window), timeout=LONG)
    qtbot.wait(50)
    assert is_idle(window)  # a stopped run holds the queue
    page.queue_card.start_button.click()
    qtbot.waitUntil(lambda: is_idle(window) and not window.workspace.queue.rows, timeout=LONG)
    qtbot.waitUntil(lambda: len(window.workspace.runs.rows) == 3, timeout=LONG)
    newest = [row.run.recipe.training.epochs for row in window.workspace.runs.rows]
    assert sorted(newest[:2]) == [1, 2]
    assert not page.queue_card.isVisible()


def test_a_queue_row_is_dragged_to_another_position(prepared, qtbot):
    window = prepared()
    for epochs in (1, 2, 3):
        window.workspace.set_value("training.epochs", epochs)
        window.train.queue_button.click()
    queue = window.train.queue_card.list
    model = queue.model()
    assert model.moveRow(model.index(0, 0).parent(), 0, model.index(0, 0).parent(), 3)
    qtbot.waitUntil(lambda: [r.recipe.training.epochs for r in window.workspace.queue.rows] == [2, 3, 1], timeout=5000)
    queue.setCurrentRow(0)
    qtbot.keyClick(queue, Qt.Key.Key_Delete)
    assert [r.recipe.training.epochs for r in window.workspace.queue.rows] == [3, 1]


def test_a_queued_recipe_that_fails_stays_with_its_reason_and_the_next_trains(prepared, qtbot):
    window = prepared(epochs=1)
    good = window.workspace.recipe
    window.workspace.change_attachment("lora", {"at": ("nowhere",)})
    window.train.queue_button.click()
    window.workspace.queue.add(good)
    window.train.queue_card.start_button.click()
    qtbot.waitUntil(lambda: is_idle(window) and len(window.workspace.queue.rows) == 1, timeout=LONG)
    qtbot.waitUntil(lambda: is_idle(window) and len(window.workspace.runs.rows) == 1, timeout=LONG)
    row = window.workspace.queue.rows[0]
    assert "No layer matches nowhere" in row.problem
    assert window.train.queue_card.problem_label.isVisible()
    window.train.queue_card.retry_button.click()
    assert window.workspace.queue.rows[0].problem == ""


# runs of others, and several at once


def write_run(folder, name, count, kind="step"):
    """Write a run directory as another process would."""
    from studio.core.recipe import Recipe

    run = Run.create(Recipe(), folder / "runs" / name)
    written = [
        events.Started(
            time=1.0, step=0, steps=2 * count, epochs=2, training_images=8, validation_images=2,
            trainable_parameters=1, total_parameters=2, device="cpu",
        )
    ]  # fmt: skip
    written += [
        events.Step(time=2.0, step=i, epoch=1, loss=1 / i, accuracy=0.5, learning_rate=0.1, images_per_second=9.0)
        for i in range(1, count + 1)
    ]
    (run.path / "events.jsonl").write_text("".join(event.to_json() + "\n" for event in written))
    run.write_status(state="running", step=count, steps=2 * count)
    return run


def test_a_run_of_another_process_is_live_while_it_holds_its_lock(window, home, qtbot):
    run = write_run(home, "theirs", 5)
    window.workspace.runs.start()
    window.show_train()
    assert window.workspace.runs.rows[0].state == "interrupted"
    with run_lock(run.path):
        window.workspace.runs.poll()
        qtbot.waitUntil(lambda: window.workspace.runs.rows[0].state == "running", timeout=5000)
        assert window.workspace.runs.rows[0].live
        assert not window.train.resume_button.isVisible()
        step = events.Step(step=6, epoch=1, loss=0.1, accuracy=0.5, learning_rate=0.1, images_per_second=9.0)
        run.append_event(step)
        qtbot.waitUntil(lambda: steps(window) == 6, timeout=5000)
    window.workspace.runs.poll()
    qtbot.waitUntil(lambda: window.workspace.runs.rows[0].state == "interrupted", timeout=5000)
    assert window.train.resume_button.isVisible()
    assert window.train.plots_card.status_label.text() == "Interrupted in epoch 1 of 2"
    assert "left" not in window.train.plots_card.progress_label.text()


def test_a_damaged_status_hides_no_run(window, home):
    write_run(home, "sound", 5)
    write_run(home, "odd", 5).write_status(state=5, step="x", steps=None, best_accuracy="high")
    (write_run(home, "list", 5).path / "status.json").write_text("[1, 2]")
    window.workspace.runs.start()
    assert {row.name: row.step for row in window.workspace.runs.rows} == {"sound": 5, "odd": 0, "list": 0}
    assert {row.state for row in window.workspace.runs.rows} == {"interrupted"}


def test_after_a_run_is_deleted_the_next_one_is_selected(window, home):
    for name in ("one", "two"):
        write_run(home, name, 5)
    window.workspace.runs.start()
    window.show_train()
    while (run := window.workspace.runs.selected) is not None:
        assert window.train.watcher.run.path == run.path
        shutil.rmtree(run.path)
        window.workspace.runs.reload()
    assert window.train.plots_card.stack.currentIndex() == 0


def test_a_long_run_is_read_on_a_thread(window, home, qtbot):
    write_run(home, "long", 4000)
    window.workspace.runs.start()
    window.show_train()
    assert window.train.watcher.reading
    assert window.train.plots_card.status_label.text() == "Reading the run"
    qtbot.waitUntil(lambda: steps(window) == 4000, timeout=LONG)
    qtbot.waitUntil(lambda: len(window.train.plots_card.loss_plot.series[0].x) == 4000, timeout=LONG)


def test_selected_runs_are_drawn_together(window, home, qtbot):
    for name in ("one", "three", "two"):
        write_run(home, name, 10)
    window.workspace.runs.start()
    window.show_train()
    page = window.train
    select(page, 0, 1, 2)
    qtbot.waitUntil(lambda: len(page.plots_card.accuracy_plot.series) == 3, timeout=5000)
    assert len({line.color_name for line in page.plots_card.loss_plot.series}) == 3
    colors = {page.run_list.model.index(row, 0).data(Qt.ItemDataRole.DecorationRole).name() for row in range(3)}
    assert len(colors) == 3
    page.run_list.table.selectRow(1)
    qtbot.waitUntil(lambda: len(page.plots_card.accuracy_plot.series) == 2, timeout=5000)
    assert page.plots_card.accuracy_plot.series[0].name == "training"
    assert page.run_list.model.index(0, 0).data(Qt.ItemDataRole.DecorationRole) is None


def test_overlaid_runs_and_the_zoom_survive_a_rebuild_of_the_page(window, home, qtbot):
    for name in ("one", "three", "two"):
        write_run(home, name, 10)
    window.workspace.runs.start()
    window.show_train()
    page = window.train
    select(page, 0, 1)
    page.plots_card.smoothing.setValue(20)
    page.plots_card.log_loss_box.setChecked(True)
    page.plots_card.accuracy_plot.zoom_to([[0.25, 0.5], [0.1, 0.9]])
    page.form.advanced_section.header.click()
    rebuilt = TrainPage(window.workspace)
    qtbot.addWidget(rebuilt)
    rebuilt.restore_view_state(page.view_state())
    rebuilt.show()
    qtbot.waitUntil(lambda: len(rebuilt.plots_card.plots) == 4, timeout=5000)
    assert rebuilt.watcher.run.path == page.watcher.run.path
    assert rebuilt.view_state()["overlaid"] == page.view_state()["overlaid"] != []
    assert rebuilt.plots_card.smoothing.value() == 20
    assert rebuilt.plots_card.loss_plot.log_y
    assert rebuilt.plots_card.accuracy_plot.zoomed_range() == page.plots_card.accuracy_plot.zoomed_range()
    assert rebuilt.plots_card.loss_plot.zoomed_range() is None
    assert rebuilt.form.advanced_section.header.isChecked()


# curves


def history(*losses, notes=(), ended=None):
    """Return a run of ten steps per epoch with these (training, validation) losses."""
    made = RunHistory()
    made.apply(
        [
            events.Started(
                step=0, steps=10 * len(losses), epochs=len(losses), training_images=8, validation_images=2,
                trainable_parameters=1, total_parameters=2, device="cpu",
            )
        ]
    )  # fmt: skip
    for epoch, (training, validation) in enumerate(losses, 1):
        made.apply(
            [
                events.Epoch(epoch=epoch, step=10 * epoch, loss=training, accuracy=0.5, seconds=1.0),
                events.Evaluation(
                    epoch=epoch, step=10 * epoch, split="validation", loss=validation, accuracy=0.5, best=epoch == 2
                ),
            ]
        )
    made.apply([*(events.Warning(text=note) for note in notes), *([ended] if ended else [])])
    return made


def test_overfitting_comes_with_advice():
    text = run_status_text.advice_text(history((1.0, 1.0), (0.8, 0.9), (0.6, 1.0), (0.4, 1.1)))
    assert "since epoch 2" in text
    assert "22 %" in text
    assert "augmentation" in text
    assert run_status_text.advice_text(history((1.0, 1.0), (0.8, 0.9), (0.6, 0.8))) == ""


def test_the_best_accuracy_is_compared_with_the_baseline():
    made = history((1.0, 1.0), (0.9, 0.9))
    assert "3.2 points above the baseline" in run_status_text.best_text(made, live=False, baseline_accuracy=0.468)
    assert "2.0 points below the baseline" in run_status_text.best_text(made, live=False, baseline_accuracy=0.52)


def test_waiting_for_images_is_shown_and_advised_on():
    made = history((1.0, 1.0))
    assert "0 % of the time spent waiting for images" in run_status_text.best_text(made, live=True)
    made.apply([events.Epoch(epoch=2, step=20, loss=1.0, accuracy=0.5, seconds=10.0, waited=4.0)])
    assert "40 % of the time spent waiting for images" in run_status_text.best_text(made, live=True)
    assert "faster disk" in run_status_text.advice_text(made)


def test_layers_without_gradient_are_named():
    made = history((1.0, 1.0))
    made.apply([events.GradNorms(step=1, norms={"lora/blocks.0.attn.qkv": 0.0, "head/head": 1.0})])
    assert "1 of 2 trained layers" in run_status_text.advice_text(made)
    assert "lora/blocks.0.attn.qkv" in run_status_text.advice_text(made)


def test_the_error_or_the_last_warnings_are_shown():
    assert run_status_text.problem_text(history((1.0, 1.0), ended=events.Error(text="No memory."))) == (
        "No memory.",
        "bad",
    )
    text, tone = run_status_text.problem_text(history((1.0, 1.0), notes=("Went back.", "Smaller parts.")))
    assert (text, tone) == ("Went back.\nSmaller parts.", "warn")
    text, _ = run_status_text.problem_text(history((1.0, 1.0), notes=tuple("abcde")))
    assert text.startswith("2 more warnings are")
    assert run_status_text.problem_text(history((1.0, 1.0))) == ("", "info")


def test_estimated_and_measured_resources_are_shown():
    made = history((1.0, 1.0))
    made.apply([events.ResourceEstimate(
        peak_memory_bytes=1_200_000_000, seconds_per_epoch=14.0, seconds_per_step=1.0, batch_size=8, trainable=1,
        device="cpu", available_memory_bytes=2,
    ), events.ResourceUsage(peak_memory_bytes=1_100_000_000, seconds_per_epoch=75.0)])  # fmt: skip
    text = run_status_text.best_text(made, live=False)
    assert "expected 14 s per epoch, 1.2 GB" in text
    assert "took 1 min 15 s per epoch, 1.1 GB" in text


@pytest.fixture
def plot(qapp, qtbot):
    made = LinePlot("Loss", bottom=0)
    qtbot.addWidget(made)
    return made


def test_curves_run_over_epochs_and_mark_the_best(plot):
    plot.show_series(series_for("loss", [history((1.0, 1.0), (0.8, 0.7), (0.6, 0.8))]))
    training, validation = plot.series
    assert validation.x.tolist() == [1.0, 2.0, 3.0]
    assert validation.best_point == (2.0, 0.7)
    assert training.smoothable
    assert not validation.smoothable


def test_smoothing_changes_only_smoothable_lines(plot):
    x = np.arange(50.0)
    plot.show_series(
        [PlotSeries("a", "accent", x, np.where(x % 2, 1.0, 0.0), smoothable=True), PlotSeries("b", "adapter", x, x % 2)]
    )
    plot.set_smoothing(0.9)
    drawn = [d.main.getOriginalDataset()[1] for d in plot.series_items]
    assert drawn[0].std() < 0.2
    assert drawn[1].std() == pytest.approx(0.5)
    assert plot.series_items[0].raw.getOriginalDataset()[1].std() == pytest.approx(0.5)
    plot.set_smoothing(0.0)
    assert plot.series_items[0].main.getOriginalDataset()[1].std() == pytest.approx(0.5)


def test_values_are_shown_at_the_pointer(plot, qtbot):
    positions = []
    plot.pointer_moved.connect(positions.append)
    plot.pointer_moved.connect(plot.show_pointer_at)
    plot.show_series([PlotSeries("a", "accent", np.array([0.0, 1.0, 2.0]), np.array([5.0, 6.0, 7.5]))])
    plot.show_pointer_at(1.4)
    assert plot.values_at_pointer() == [6.0]
    qtbot.keyClick(plot.plot, Qt.Key.Key_End)
    assert positions[-1] == 2.0
    assert plot.values_at_pointer() == [7.5]
    qtbot.keyClick(plot.plot, Qt.Key.Key_Left)
    assert positions[-1] == 1.0
    qtbot.keyClick(plot.plot, Qt.Key.Key_Escape)
    assert plot.values_at_pointer() == [None]


def test_the_axis_of_the_loss_can_be_logarithmic(plot):
    plot.show_series([PlotSeries("a", "accent", np.array([0.0, 1.0]), np.array([1.0, 0.01]), best_point=(1.0, 0.01))])
    plot.set_log_y(True)
    assert plot.series_items[0].main.getData()[1].tolist() == pytest.approx([0.0, -2.0])
    assert plot.series_items[0].best.getData()[1].tolist() == pytest.approx([-2.0])
    plot.set_log_y(False)
    assert plot.series_items[0].main.getData()[1].tolist() == [1.0, 0.01]


# suggestions


def test_the_usual_rate_and_enough_epochs_are_one_click_away(prepared, qtbot):
    from studio.app.suggested_hparams import suggested_learning_rate

    window = prepared(epochs=1, learning_rate=0.5)
    rate = window.train.lr_advice
    qtbot.waitUntil(lambda: window.workspace.images.scan.summary is not None, timeout=LONG)
    assert "too few" in rate.few_steps_label.text()
    rate.use_lr_button.click()
    assert window.workspace.recipe.training.learning_rate == suggested_learning_rate(window.workspace.recipe)
    assert not rate.use_lr_button.isVisible()
    rate.use_suggestion_button.click()
    assert window.workspace.recipe.training.epochs > 1
    assert not rate.few_steps_label.isVisible()


def test_a_learning_rate_is_found(prepared, qtbot):
    window = prepared()
    rate = window.train.lr_advice
    qtbot.waitUntil(lambda: rate.find_lr_button.isEnabled(), timeout=LONG)
    rate.find_lr_button.click()
    dialog = rate.dialog
    qtbot.waitUntil(lambda: dialog.use_button.isVisible(), timeout=LONG)
    assert len(dialog.plot.series[0].x) > 10
    dialog.use_button.click()
    assert window.workspace.recipe.training.learning_rate == dialog._suggested_lr
    assert not window.workspace.runs.rows


def test_closing_the_dialog_stops_the_search(prepared, qtbot):
    window = prepared()
    rate = window.train.lr_advice
    qtbot.waitUntil(lambda: rate.find_lr_button.isEnabled(), timeout=LONG)
    before = window.workspace.recipe
    rate.find_lr_button.click()
    rate.dialog.reject()
    qtbot.waitUntil(lambda: not window.workspace.worker.busy, timeout=LONG)
    assert window.workspace.recipe == before
    assert not rate.dialog.isVisible()


def test_hiding_the_page_stops_the_search(prepared, qtbot):
    window = prepared()
    rate = window.train.lr_advice
    qtbot.waitUntil(lambda: rate.find_lr_button.isEnabled(), timeout=LONG)
    rate.find_lr_button.click()
    window.hide()
    assert not rate.dialog.isVisible()
    qtbot.waitUntil(lambda: not window.workspace.worker.busy, timeout=LONG)


# gradient norms


def test_gradient_norms_are_relative_to_the_largest():
    norms = GradNorms({"a/q": 1.0, "a/k": 0.1, "b/q": 0.0}, frozenset({"b/q"}))
    assert norms.relative("a", "q") == 1.0
    assert norms.relative("a", "k") == pytest.approx(2 / 3)
    assert norms.relative("b", "q") == 0.0
    assert not norms.has_gradient("b", "q")
    assert "has not changed" in norms.describe("b", "q")
    assert norms.describe("c", "q") == ""


def test_the_tree_shows_gradient_norms_during_a_run(prepared, qtbot, monkeypatch):
    monkeypatch.setattr(grad_norms, "INTERVAL_SECONDS", 0.0)
    window = prepared(epochs=2000)
    tree = window.adapters.tree_panel.model
    window.train.start_button.click()
    qtbot.waitUntil(lambda: tree.grad_norms.norm("lora", "blocks.0.attn.qkv") is not None, timeout=LONG)
    window.show_adapters()
    window.adapters.tree_panel.tree.expandAll()
    assert not window.adapters.tree_panel.tree.grab().isNull()
    window.train.stop_button.click()
    qtbot.waitUntil(lambda: is_idle(window), timeout=LONG)
    assert tree.grad_norms == GradNorms()


def test_a_run_directory_contains_all_kinds_of_events(prepared, qtbot):
    window = prepared(epochs=1)
    window.train.start()
    qtbot.waitUntil(lambda: is_idle(window), timeout=LONG)
    text = (window.workspace.runs.selected.path / "events.jsonl").read_text()
    kinds = {json.loads(line)["event"] for line in text.splitlines()}
    assert {"started", "step", "movement", "epoch", "evaluation", "checkpoint", "finished"} <= kinds


@pytest.mark.parametrize("epochs", [2, 3, 7, 40])
def test_only_whole_epochs_are_labeled_and_the_last_best_point_is_in_view(plot, epochs):
    plot.show_series(
        [PlotSeries("a", "accent", np.arange(epochs + 1.0), np.arange(epochs + 1.0), best_point=(epochs, epochs))]
    )
    low, high = plot.item.getViewBox().viewRange()[0]
    assert low < 0
    assert high > epochs
    labeled = [tick for _, ticks in plot.item.getAxis("bottom").tickValues(low, high, 400) for tick in ticks]
    assert len(labeled) >= 3
    assert all(tick == round(tick) for tick in labeled)


def test_shares_are_shown_as_percentages(qapp, qtbot):
    made = LinePlot("Accuracy", bottom=0, as_percent=True)
    qtbot.addWidget(made)
    made.show_series([PlotSeries("validation", "adapter", np.array([0.0, 1.0]), np.array([0.1, 0.978]))])
    made.show_pointer_at(1.0)
    assert made.legend.itemAt(1).widget().text() == "validation 97.8 %"
    assert made.item.getAxis("left").tickStrings([0.5], 1.0, 0.1) == ["50 %"]


def test_a_banner_that_fits_is_not_scrolled(qapp, qtbot):
    made = PlotsCard()
    qtbot.addWidget(made)
    made.stack.setCurrentIndex(1)
    made.resize(986, 456)
    made.show()
    made._show_message(made.problem_banner, "These steps are few to learn from. " * 5, "warn")
    qtbot.wait(20)
    assert made.messages.verticalScrollBar().maximum() == 0
    assert made.problem_banner.height() >= made.problem_banner.heightForWidth(made.problem_banner.width())


def test_curve_points_take_the_colors_of_another_theme(qtbot, qapp):
    plot = LinePlot("Loss")
    qtbot.addWidget(plot)
    plot.show_series([PlotSeries("one", "accent", np.arange(3.0), np.arange(3.0), emphasized=True)])
    theme().apply("dark")
    try:
        assert plot.series_items[0].main.scatter.opts["brush"].color() == color("accent")
    finally:
        theme().apply("light")
