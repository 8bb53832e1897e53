"""Results page: metrics and their images, predictions, ablation."""

import threading
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QGuiApplication, QImage

from studio.app import training
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.recipe import Attachment
from studio.ui.pages.results import try_it_tab
from studio.ui.pages.results.confusion_matrix import _MARGIN_LEFT, _MARGIN_TOP, ConfusionMatrix, _blend
from studio.ui.pages.results.page import ABLATION_TAB, CONFUSION_TAB, TRY_IT_TAB, ResultsPage
from studio.ui.style.theme import color
from studio.ui.widgets.table_model import ROW_ROLE

LEFT = Qt.MouseButton.LeftButton
LONG = 30_000
NARROW = Attachment(name="narrow", method="pfeiffer", at=("blocks.*.mlp",), config={"bottleneck": 2})


@pytest.fixture
def train(make_recipe, home):
    """Train a tiny recipe into the runs folder."""

    def make(name, *more, **settings):
        recipe = make_recipe(**{"epochs": 1, "learning_rate": 0.05} | settings)
        recipe = recipe.model_copy(update={"attachments": (*recipe.attachments, *more)})
        run = training.create_run(recipe, home / "runs" / name)
        list(training.train(run, TrainControl()))
        return run

    return make


@pytest.fixture
def page(alone):
    return alone(ResultsPage, 1240, 700)


@pytest.fixture
def shown(page, train, qtbot):
    """Show the page with the results of a run."""
    run = train("first", NARROW)
    page.workspace.runs.reload()
    page.workspace.runs.select(run)
    qtbot.waitUntil(lambda: page.stack.currentIndex() == 1, timeout=LONG)
    return page


def has_predictions(tab):
    """Return whether every adapter has a prediction for the image."""
    return bool(tab.cards) and all(card.probability_bars.rows for card in tab.cards.values())


def middle(confusion, row, column):
    left, top, width, height = confusion._cell_rect(row, column, confusion._cell_size())
    return QPoint(int(left + width / 2), int(top + height / 2))


def test_metrics_and_classes_are_shown(shown):
    assert shown.accuracy.text().endswith("%")
    assert shown.images.text() == "6"
    view = shown.confusion_tab
    assert view.confusion.labels == ("a", "b", "c")
    assert sum(map(sum, view.confusion.counts)) == 6
    assert view.class_model.rowCount() == 3
    assert not shown.gain_figure.isVisible()


def test_sorted_classes_lead_to_their_own_images(shown, qtbot):
    view = shown.confusion_tab
    view.view_switch.button_at(1).click()
    rows, table = view.class_model.rows, view.table
    table.setCurrentIndex(table.model().index(0, 3))
    for descending in (False, True):
        qtbot.keyClick(table, Qt.Key.Key_S)
        seen = [table.model().index(row, 3).data(ROW_ROLE) for row in range(3)]
        assert [one.precision for one in seen] == sorted((one.precision for one in rows), reverse=descending)
    table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    table.setCurrentIndex(table.model().index(0, 0))
    assert view._class_filter == 2
    assert all(one.label == 2 for one in view.grid.images.rows)


def test_the_image_to_try_is_read_on_the_worker_thread(shown, qtbot, tmp_path, monkeypatch):
    readers = []

    def read(path, side):
        readers.append(threading.current_thread().name)
        return QImage(4, 4, QImage.Format.Format_RGB32)

    monkeypatch.setattr(try_it_tab, "render_thumbnail", read)
    shown.try_image(next((tmp_path / "images/c").glob("*.png")))
    qtbot.waitUntil(lambda: has_predictions(shown.try_it_tab) and bool(readers), timeout=LONG)
    assert set(readers) == {"results"}


def test_a_cell_shows_its_images_and_a_second_click_all(shown, qtbot):
    view = shown.confusion_tab
    for row, counts in enumerate(view.confusion.counts):
        for column, number in enumerate(counts):
            qtbot.mouseClick(view.confusion, LEFT, pos=middle(view.confusion, row, column))
            images = view.grid.images.rows
            assert len(images) == number
            assert all((one.label, one.predicted) == (row, column) for one in images)
            assert view.filter_label.text() == view.confusion.cell_text(row, column)
            qtbot.mouseClick(view.confusion, LEFT, pos=middle(view.confusion, row, column))
    assert view.confusion.selected_cell is None
    mistakes = [one for one in view.predictions.images if not one.is_correct]
    assert sorted(one.loss for one in view.grid.images.rows) == sorted(one.loss for one in mistakes)
    losses = [one.loss for one in view.grid.images.rows]
    assert losses == sorted(losses, reverse=True)


def test_the_arrow_keys_move_through_the_matrix(shown, qtbot):
    view = shown.confusion_tab
    view.confusion.setFocus()
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Right):
        qtbot.keyClick(view.confusion, key)
    assert view.confusion.selected_cell == (1, 1)
    assert view.confusion.accessibleName().endswith(view.confusion.cell_text(1, 1))
    qtbot.keyClick(view.confusion, Qt.Key.Key_Escape)
    assert view.confusion.selected_cell is None


def test_a_class_shows_its_images_and_show_all_the_rest(shown, qtbot):
    view = shown.confusion_tab
    qtbot.mouseClick(view.view_switch.button_at(1), LEFT)
    cell = view.table.visualRect(view.table.model().index(1, 0))
    qtbot.mouseClick(view.table.viewport(), LEFT, pos=cell.center())
    view.order.setCurrentIndex(1)
    view.order.activated.emit(1)
    assert [one.label for one in view.grid.images.rows] == [1, 1]
    qtbot.mouseClick(view.clear_button, LEFT)
    assert len(view.grid.images.rows) == 6


def test_an_image_shows_its_saliency_map(shown, qtbot):
    view = shown.confusion_tab
    view.order.setCurrentIndex(1)
    view.order.activated.emit(1)
    qtbot.mouseClick(view.grid.viewport(), LEFT, pos=view.grid.visualRect(view.grid.images.index(2)).center())
    row = view.grid.images.rows[2]
    assert view.prediction_label.text() == view.grid.images.result_text(row)
    for number in (1, 2, 3):
        view.saliency_mode.setCurrentIndex(number)
        view.saliency_mode.activated.emit(number)
        qtbot.waitUntil(lambda: view.view.saliency is not None, timeout=LONG)
        assert view.view.saliency.pixels.shape == (32, 32, 3)
        view.view.show_saliency(None)
    qtbot.mouseClick(view.try_button, LEFT)
    assert shown.views.currentIndex() == TRY_IT_TAB
    assert shown.try_it_tab.image == row.path


def test_a_dropped_and_a_pasted_image_are_predicted_and_a_broken_one_is_an_error(shown, qtbot, tmp_path):
    shown.show_view(TRY_IT_TAB)
    view, path = shown.try_it_tab, next((tmp_path / "images/a").glob("*.png"))
    zone, data = view.view.parentWidget(), QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    action, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    zone.dropEvent(QDropEvent(QPointF(5, 5), action, data, LEFT, none))
    qtbot.waitUntil(lambda: has_predictions(view), timeout=LONG)
    odds = view.cards["first"].probability_bars.rows
    assert sum(share for _, share in odds) == pytest.approx(1, abs=1e-5)
    assert view.cards["first"].best_label.text().startswith(odds[0][0])
    QGuiApplication.clipboard().setImage(QImage(str(next((tmp_path / "images/b").glob("*.png")))))
    view.setFocus()
    view.paste()
    assert view.image.name == "pasted.png"
    qtbot.waitUntil(lambda: has_predictions(view), timeout=LONG)
    assert view.cards["first"].probability_bars.rows != odds
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"x")
    view.try_image(broken)
    qtbot.waitUntil(lambda: bool(view.banner.message), timeout=LONG)
    assert "broken.png" in view.banner.message
    assert not has_predictions(view)


def test_adapters_predict_side_by_side_with_adjustable_attachments(shown, train, qtbot, tmp_path):
    second = train("second", seed=4)
    view = shown.try_it_tab
    shown.try_image(next((tmp_path / "images/c").glob("*.png")))
    qtbot.waitUntil(lambda: has_predictions(view), timeout=LONG)
    view.add_adapter(second.path)
    qtbot.waitUntil(lambda: len(view.cards) == 2 and has_predictions(view), timeout=LONG)
    assert [row.control.name for row in view.control_rows] == ["lora", "narrow"]
    before = {name: answer.probability_bars.rows for name, answer in view.cards.items()}
    box = QPoint(8, view.control_rows[0].switch.height() // 2)
    qtbot.mouseClick(view.control_rows[0].switch, LEFT, pos=box)
    qtbot.waitUntil(lambda: view.cards["first"].probability_bars.rows != before["first"], timeout=LONG)
    assert view.cards["second"].probability_bars.rows == before["second"]
    assert view.control_rows[0].value_label.text() == "off"
    qtbot.mouseClick(view.reset_button, LEFT)
    qtbot.waitUntil(lambda: view.cards["first"].probability_bars.rows == before["first"], timeout=LONG)
    view.control_rows[0].slider.setValue(150)
    qtbot.waitUntil(lambda: view.cards["first"].probability_bars.rows != before["first"], timeout=LONG)
    qtbot.mouseClick(view.cards["second"], LEFT)
    assert view.active_adapter == "second"
    assert [row.control.name for row in view.control_rows] == ["lora"]


def test_checked_adapters_are_fused_and_an_error_is_shown(shown, train, qtbot, tmp_path, monkeypatch):
    """The fusion itself is tested with the inference session; it exports the adapters, which takes long."""
    view, undo_stack = shown.try_it_tab, shown.workspace.document.undo_stack
    asked = []

    def fused(session, recipe, names):
        asked.append(tuple(names))
        if len(asked) == 1:
            raise StudioError("cannot-fuse", "Adapter 0 cannot be fused.")
        return recipe.model_copy(update={"attachments": (NARROW,)})

    monkeypatch.setattr("studio.app.inference_session.InferenceSession.fusion_recipe", fused)
    view.add_adapter(train("second", NARROW, lora=False, seed=1).path)
    shown.try_image(next((tmp_path / "images/c").glob("*.png")))
    qtbot.waitUntil(lambda: len(view.cards) == 2 and has_predictions(view), timeout=LONG)
    view.cards["first"].fuse_box.click()
    assert not view.fuse_button.isEnabled()
    view.cards["second"].fuse_box.click()
    qtbot.mouseClick(view.fuse_button, LEFT)
    qtbot.waitUntil(lambda: "cannot be fused" in view.banner.message, timeout=LONG)
    assert not undo_stack.canUndo()
    qtbot.mouseClick(view.fuse_button, LEFT)
    qtbot.waitUntil(undo_stack.canUndo, timeout=LONG)
    assert shown.workspace.recipe.attachments == (NARROW,)
    assert asked == [("first", "second")] * 2


def test_checked_attachments_are_pruned_as_one_undo_step(shown, qtbot):
    shown.show_view(ABLATION_TAB)
    view, document = shown.ablation_tab, shown.workspace.document
    qtbot.mouseClick(view.measure_button, LEFT)
    qtbot.waitUntil(lambda: view.analysis is not None, timeout=LONG)
    assert [row.name for row in view.model.rows] == ["lora", "narrow"]
    assert view.tree.topLevelItemCount() == 2
    assert not view.prune_button.isEnabled()
    index = view.model.index(1, 0)
    view.model.setData(index, Qt.CheckState.Checked.value, Qt.ItemDataRole.CheckStateRole)
    before = document.recipe
    qtbot.mouseClick(view.prune_button, LEFT)
    assert [a.name for a in document.recipe.attachments] == ["lora"]
    assert document.undo_stack.count() == 1
    document.undo_stack.undo()
    assert document.recipe == before
    document.new(shown.workspace.runs.selected.recipe)
    qtbot.mouseClick(view.prune_button, LEFT)
    assert [a.name for a in document.recipe.attachments] == ["lora"]


def test_the_gain_over_a_known_baseline_is_shown(shown, qtbot):
    from studio.app import baseline

    run = shown.workspace.runs.selected
    known = baseline.measure_baseline(run.recipe.data, run.recipe.backbone, TrainControl())
    shown._reevaluate()
    qtbot.waitUntil(lambda: shown.gain_figure.isVisible(), timeout=LONG)
    gain = 100 * (shown.confusion_tab.predictions.metrics.accuracy - known.accuracy)
    assert shown.gain.text() == f"{gain:+.1f} points"


def test_tab_selection_and_evaluation_survive_a_rebuild_of_the_page(shown, train, qtbot, tmp_path, monkeypatch):
    second = train("second", seed=4)
    view, ablation = shown.try_it_tab, shown.ablation_tab
    shown.show_view(ABLATION_TAB)
    qtbot.mouseClick(ablation.measure_button, LEFT)
    shown.confusion_tab.order.setCurrentIndex(1)
    shown.confusion_tab.order.activated.emit(1)
    shown.confusion_tab.grid.setCurrentIndex(shown.confusion_tab.grid.images.index(2))
    view.add_adapter(second.path)
    shown.try_it_tab.try_image(next((tmp_path / "images/c").glob("*.png")))
    qtbot.waitUntil(
        lambda: ablation.analysis is not None and len(view.cards) == 2 and has_predictions(view), timeout=LONG
    )
    view.control_rows[0].slider.setValue(50)
    view.activate("second")
    qtbot.waitUntil(lambda: not shown.workspace.worker.busy, timeout=LONG)
    qtbot.wait(50)
    monkeypatch.setattr("studio.ui.pages.results.page._evaluate_run", lambda run: pytest.fail("evaluated again"))
    rebuilt = ResultsPage(shown.workspace)
    qtbot.addWidget(rebuilt)
    rebuilt.restore_view_state(shown.view_state())
    rebuilt.show()
    qtbot.waitUntil(lambda: has_predictions(rebuilt.try_it_tab) and len(rebuilt.try_it_tab.cards) == 2, timeout=LONG)
    assert rebuilt.views.currentIndex() == ABLATION_TAB
    assert rebuilt.accuracy.text() == shown.accuracy.text()
    before, after = (page.confusion_tab.view_state() | {"sizes": []} for page in (shown, rebuilt))
    assert before == after
    assert before["image"] is not None
    assert rebuilt.ablation_tab.model.rows == ablation.model.rows
    assert rebuilt.try_it_tab.image == view.image
    assert rebuilt.try_it_tab.active_adapter == "second"
    qtbot.waitUntil(lambda: rebuilt.try_it_tab.controls == view.controls, timeout=LONG)
    assert rebuilt.try_it_tab.controls["first"][0].strength == 0.5


def test_without_runs_the_next_step_is_shown(page):
    assert page.stack.currentIndex() == 0
    assert "Train a recipe first" in page.empty.description.text()
    assert page.view_switch.button_at(CONFUSION_TAB).isChecked()


def test_a_running_run_shows_its_best_checkpoint(page, make_recipe, home, qtbot, tmp_path):
    workspace = page.workspace
    workspace.trainer.start(make_recipe(epochs=3000))
    qtbot.waitUntil(
        lambda: (row := workspace.runs.find(workspace.runs.selected)) is not None and row.live, timeout=LONG
    )

    def evaluated():
        workspace.runs.reload()
        return page.stack.currentIndex() == 1

    qtbot.waitUntil(evaluated, timeout=LONG)
    assert "still training" in page.banner.message
    page.try_image(Path(next((tmp_path / "images/a").glob("*.png"))))
    qtbot.waitUntil(lambda: has_predictions(page.try_it_tab), timeout=LONG)
    assert workspace.trainer.running
    workspace.trainer.stop()
    qtbot.waitUntil(lambda: not workspace.trainer.running, timeout=LONG)


def test_a_matrix_of_many_classes_shows_each_cell_in_its_color(qapp, qtbot):
    many, matrix = 200, ConfusionMatrix()
    qtbot.addWidget(matrix)
    matrix.resize(_MARGIN_LEFT + 8 + 3 * many, _MARGIN_TOP + 8 + 3 * many)
    counts = [[4 * (row == column) for column in range(many)] for row in range(many)]
    counts[20][90] = 16
    matrix.show_counts([str(number) for number in range(many)], counts)
    shown = matrix.grab().toImage()

    def seen(row: int, column: int) -> str:
        return shown.pixelColor(*middle(matrix, row, column).toTuple()).name()

    assert seen(10, 10) == color("accent").name()
    assert seen(20, 90) == _blend(color("sunken"), color("bad"), 0.8).name()
    assert seen(30, 31) == color("sunken").name()
    assert matrix.cell_at(QPointF(middle(matrix, 20, 90))) == (20, 90)
