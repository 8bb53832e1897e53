"""Compare page."""

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QPushButton

from studio.app import training
from studio.app.sweeps.grid import expand_grid
from studio.app.sweeps.sweep import Sweep
from studio.core.control import TrainControl
from studio.core.recipe import Recipe
from studio.ui.pages.compare.page import ComparePage

LEFT = Qt.MouseButton.LeftButton
LONG = 30_000


@pytest.fixture
def train(make_recipe, home):
    """Train a tiny recipe into a folder, the runs folder by default."""

    def make(name, folder=None, rank=4, **settings):
        recipe = make_recipe(**{"epochs": 2, "learning_rate": 0.05} | settings)
        lora = recipe.attachments[0]
        lora = lora.model_copy(update={"config": {**lora.config, "rank": rank}})
        run = training.create_run(recipe.model_copy(update={"attachments": (lora,)}), (folder or home / "runs") / name)
        list(training.train(run, TrainControl()))
        return run

    return make


@pytest.fixture
def page(alone):
    return alone(ComparePage, 1240, 760)


@pytest.fixture
def listed(page, train):
    """The page with three runs of two recipes in its list."""
    for name, settings in (("one", {}), ("two", {"seed": 1}), ("larger", {"rank": 8})):
        train(name, **settings)
    page.workspace.runs.reload()
    return page


def check(page, qtbot, row):
    """Click the check box of a row."""
    area = page.run_table.visualRect(page.run_model.index(row, 0))
    qtbot.mouseClick(page.run_table.viewport(), LEFT, pos=QPoint(area.left() + 12, area.center().y()))


def test_checked_runs_are_compared_and_averaged_over_seeds(listed, qtbot):
    assert not listed.save_button.isEnabled()
    for row in range(3):
        check(listed, qtbot, row)
    assert len(listed.selected_runs) == 3
    qtbot.waitUntil(lambda: listed.comparison is not None and len(listed.curves.series) == 2, timeout=LONG)
    groups = listed.group_model.rows
    assert sorted(len(group.runs) for group in groups) == [1, 2]
    assert {group.parameters for group in groups} == {point.parameters for point in listed.pareto.recipe_points}
    front = {point.number for point in listed.pareto.recipe_points if point.on_front}
    assert front == {group.number for group in listed.comparison.report.pareto_front}
    assert [len(line.x) for line in listed.curves.series] == [3, 3]
    assert listed.summary.text() == "2 recipes   ·   3 runs"
    cells = listed.group_model.cells(groups[0])
    assert cells[2] == f"{groups[0].parameters:,}"
    assert cells[7] != "–"
    assert listed.groups.isColumnHidden(4)


def test_two_recipes_are_compared_on_the_tree(listed, qtbot):
    qtbot.mouseClick(listed.all_button, LEFT)
    qtbot.waitUntil(lambda: listed.comparison is not None, timeout=LONG)
    qtbot.mouseClick(listed.view_switch.button_at(1), LEFT)
    qtbot.waitUntil(lambda: bool(listed.recipe_diff.pairs), timeout=LONG)
    differences = {pair.layer.path: pair.status for pair in listed.recipe_diff.pairs if pair.differs}
    assert differences == {"blocks.0.attn.qkv": "other", "blocks.1.attn.qkv": "other"}
    listed.right_recipe.setCurrentIndex(0)
    listed.right_recipe.activated.emit(0)
    qtbot.waitUntil(lambda: "the same" in listed.recipe_diff.summary.text(), timeout=LONG)


def test_the_report_is_saved(listed, qtbot, tmp_path):
    qtbot.mouseClick(listed.all_button, LEFT)
    qtbot.waitUntil(lambda: listed.comparison is not None, timeout=LONG)
    saved = []
    listed.save_report(tmp_path / "report", saved.append)
    qtbot.waitUntil(lambda: bool(saved), timeout=LONG)
    assert "LoRA" in saved[0].read_text(encoding="utf-8")
    assert str(saved[0]) in listed.banner.message
    qtbot.mouseClick(listed.none_button, LEFT)
    assert listed.stack.currentIndex() == 0


def test_the_runs_of_a_sweep_are_opened_and_another_folder_is_an_error(page, make_recipe, qtbot, tmp_path):
    sweep = Sweep.create(tmp_path / "sweep", expand_grid(make_recipe(epochs=1), ["attachments.lora.rank=2,4"]))
    for point in sweep.points:
        run = training.create_run(point.recipe, sweep.folder / point.name)
        list(training.train(run, TrainControl()))
    page.open_sweep(tmp_path)
    qtbot.waitUntil(lambda: "does not describe a sweep" in page.banner.message, timeout=LONG)
    page.open_sweep(sweep.folder)
    qtbot.waitUntil(lambda: page.comparison is not None, timeout=LONG)
    assert [option.name for option in page.sweeps] == ["sweep/rank-2", "sweep/rank-4"]
    assert len(page.group_model.rows) == 2


def test_a_preset_queues_a_recipe_for_each_point(page, make_recipe, qtbot, monkeypatch):
    started = []
    monkeypatch.setattr(page.workspace.queue, "start", lambda: started.append(True))
    page.workspace.document.new(make_recipe(epochs=1))
    page.queue_sweep("ranks")
    qtbot.waitUntil(lambda: len(page.workspace.queue.rows) == 5, timeout=LONG)
    ranks = [row.recipe.attachments[0].config["rank"] for row in page.workspace.queue.rows]
    assert ranks == [2, 4, 8, 16, 32]
    assert started
    assert "5 recipes are queued" in page.banner.message


def test_a_recipe_unsuitable_for_a_preset_is_an_error(page, make_recipe, qtbot):
    page.workspace.document.new(make_recipe(lora=False))
    page.queue_sweep("ranks")
    qtbot.waitUntil(lambda: "has a rank" in page.banner.message, timeout=LONG)
    assert page.workspace.queue.rows == ()
    page.workspace.document.new(Recipe())
    page.queue_sweep("ranks")
    qtbot.waitUntil(lambda: "has no images" in page.banner.message, timeout=LONG)


def test_the_menu_and_the_results_page_lead_to_the_page(window, qtbot, train):
    run = train("one")
    window.workspace.runs.reload()
    window.workspace.runs.select(run)
    window.actions_by_slot["show_compare"].trigger()
    assert window.pages.current_page is window.compare
    assert window.compare.selected_runs == (run.path,)
    window.show_results()
    button = next(b for b in window.results.findChildren(QPushButton) if b.text() == "Compare runs")
    qtbot.mouseClick(button, LEFT)
    assert window.pages.current_page is window.compare
    window.show_data()
    qtbot.waitUntil(lambda: not window.workspace.worker.busy, timeout=LONG)


def test_checked_runs_and_the_open_view_survive_a_rebuild_of_the_page(listed, qtbot):
    qtbot.mouseClick(listed.all_button, LEFT)
    qtbot.waitUntil(lambda: listed.comparison is not None, timeout=LONG)
    qtbot.mouseClick(listed.view_switch.button_at(1), LEFT)
    listed.left_recipe.setCurrentIndex(1)
    rebuilt = ComparePage(listed.workspace)
    qtbot.addWidget(rebuilt)
    rebuilt.restore_view_state(listed.view_state())
    rebuilt.show()
    qtbot.waitUntil(lambda: rebuilt.comparison is not None, timeout=LONG)
    assert rebuilt.selected_runs == listed.selected_runs
    assert rebuilt.views.currentIndex() == 1
    assert rebuilt.left_recipe.currentIndex() == 1
    qtbot.waitUntil(lambda: not listed.workspace.worker.busy, timeout=LONG)


def test_a_run_with_a_damaged_recipe_is_not_offered(listed, train, home, qtbot):
    (train("damaged").path / "recipe.toml").write_text("x = = 1")
    listed.workspace.runs._descriptions.clear()
    listed.workspace.runs.reload()
    listed.all_button.click()
    assert len(listed.workspace.runs.rows) == 4
    qtbot.waitUntil(lambda: listed.comparison is not None and len(listed.group_model.rows) == 2, timeout=LONG)
    assert not listed.banner.message
