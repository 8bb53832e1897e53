"""The resource estimate: measured in the background, marked as outdated, canceled, and reduced by memory savings."""

import time

import pytest
from PySide6.QtCore import QPoint

from studio.app import estimate_cache
from studio.core.errors import StudioError
from studio.core.events import ResourceEstimate
from studio.ui.services.resource_estimator import memory_savings
from studio.ui.services.tree_data import NodeRef
from studio.ui.window.resource_button import ResourceButton

GB = 10**9


def figures(memory=2 * GB, free=4 * GB):
    return ResourceEstimate(
        time=time.time(), peak_memory_bytes=memory, seconds_per_epoch=14.0, seconds_per_step=0.5, batch_size=32,
        trainable=100, device="cpu", available_memory_bytes=free,
    )  # fmt: skip


@pytest.fixture
def bar(ready):
    return ready.findChild(ResourceButton)


@pytest.fixture
def answer(monkeypatch):
    """Let a measurement give this, at once, as the real one would be remembered."""

    def give(found):
        def measure(recipe, control):
            if isinstance(found, Exception):
                raise found
            estimate_cache.save_estimate(recipe, found)
            return found

        monkeypatch.setattr(estimate_cache, "estimate_in_subprocess", measure)

    return give


def measured(bar, qtbot):
    bar.panel.measure_button.click()
    qtbot.waitUntil(lambda: not bar.estimator.measuring, timeout=20_000)


def test_a_measurement_is_shown_with_its_date_and_goes_stale_with_the_recipe(ready, bar, answer, qtbot):
    answer(figures())
    assert bar.summary_label.text() == ""
    measured(bar, qtbot)
    assert bar.summary_label.text() == "2 GB memory · 14 s per epoch"
    assert bar.time_label.text().startswith("measured today ")
    assert bar.panel.banner.message == "It fits in the available memory."
    ready.workspace.set_value("training.learning_rate", 0.123)
    assert bar.time_label.text().startswith("measured today ")
    ready.workspace.set_value("training.epochs", 77)
    assert bar.time_label.text().startswith("for an earlier recipe")
    assert "changed" in bar.panel.banner.message
    ready.undo()
    assert bar.time_label.text().startswith("measured today ")


def test_what_does_not_fit_says_so(bar, answer, qtbot):
    answer(figures(memory=5 * GB))
    measured(bar, qtbot)
    assert "does not fit" in bar.panel.banner.message
    assert bar.panel.banner.property("tone") == "bad"


def test_a_measurement_that_fails_says_why(bar, answer, qtbot):
    answer(StudioError("no-images", "There are no images; choose a folder."))
    measured(bar, qtbot)
    assert bar.panel.banner.message == "There are no images; choose a folder."
    assert bar.time_label.text() == "The measurement failed"


def test_a_measurement_can_be_cancelled(bar, monkeypatch, qtbot):
    def measure(recipe, control):
        while not control.stopping:
            time.sleep(0.01)
        raise StudioError("stopped", "The measurement was stopped.")

    monkeypatch.setattr(estimate_cache, "estimate_in_subprocess", measure)
    bar.panel.measure_button.click()
    assert bar.panel.measure_button.text() == "Cancel"
    bar.panel.measure_button.click()
    qtbot.waitUntil(lambda: not bar.estimator.measuring, timeout=20_000)
    assert bar.panel.banner.message == ""


def test_each_button_makes_one_undoable_edit_and_is_off_where_nothing_is_gained(ready, bar, settled):
    workspace = ready.workspace
    workspace.attach("lora", (NodeRef(),))
    settled(ready)
    before = workspace.recipe
    bar.open_panel()
    for number in range(4):
        assert bar.panel.buttons[number].isEnabled()
        bar.panel.buttons[number].click()
        assert workspace.recipe != before
        ready.undo()
        assert workspace.recipe == before
    parts, again, half, fewer = (saving.recipe for saving in memory_savings(before, workspace.engine))
    assert parts.training.accumulation == 2
    assert again.training.gradient_checkpointing
    assert half.training.precision == "bfloat16"
    assert fewer.attachments[0].at == ("blocks.{3..5}.attn.qkv",)
    assert memory_savings(again, workspace.engine)[1].recipe is None
    bar.panel.close()


def test_with_nothing_attached_there_are_no_blocks_to_leave_out(ready):
    assert memory_savings(ready.workspace.recipe, ready.workspace.engine)[3].recipe is None


def test_the_panel_stays_above_the_bar_when_its_buttons_change(ready, bar, settled, qtbot):
    ready.files.open_sample()
    settled(ready)
    bar.open_panel()
    corner = bar.mapToGlobal(QPoint(bar.width(), 0)).y()
    bar.panel.buttons[0].click()
    qtbot.wait(50)
    assert bar.panel.frameGeometry().bottom() < corner
    bar.panel.close()
