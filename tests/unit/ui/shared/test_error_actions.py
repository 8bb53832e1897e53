"""Buttons beside errors: chosen by code, and acting on the recipe that failed."""

import pytest

from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.core.recipe import Recipe
from studio.ui.i18n.language import CHINESE, ENGLISH, language
from studio.ui.services.error_text import error_message
from studio.ui.services.recipe_edits import with_value
from studio.ui.shared.error_actions import ACTIONS, HALVE_BATCH, HALVE_RATE, OPEN_LOG, action_for, find_window, halved
from studio.ui.shared.error_banner import ErrorBanner


@pytest.mark.parametrize(
    ("error", "label"),
    [
        (StudioError("out-of-memory", "Out of memory. Reduce the batch size and try again."), "Halve the batch size"),
        (StudioError("no-images", "There are no images in {path}.", path="x"), "Choose a folder…"),
        (StudioError("no-device", "This machine has no cuda."), "Choose the device automatically"),
        (StudioError("disk-full", "The run cannot be written."), "Show the runs folder"),
        (ValueError("x"), "Open the log"),
        (StudioError("nobody-knows", "Reduce the batch size: training.batch_size, choose a folder."), None),
    ],
)
@pytest.mark.parametrize("spoken", [ENGLISH, CHINESE])
def test_an_error_comes_with_the_button_for_its_code(qtbot, error, label, spoken):
    language().set_language(spoken)
    try:
        banner = ErrorBanner()
        qtbot.addWidget(banner)
        banner.show_message(error_message(error), "bad")
        action = action_for(error_message(error))
        assert (str(action.label) if action else None) == label
        assert len(banner.buttons) == (2 if label else 1)
    finally:
        language().set_language(ENGLISH)


def test_a_wrong_value_does_not_offer_to_change_the_batch_size():
    with pytest.raises(StudioError) as caught:
        with_value(Recipe(), "training.batch_size", -1)
    text = error_message(caught.value)
    assert text.code == "bad-value"
    assert action_for(text) is None
    assert "training.batch_size" not in str(text)


def test_a_key_of_the_recipe_is_shown_as_the_title_of_its_control():
    text = error_message(StudioError("bad-value", "{key}: {reason}", key="data.path", reason=N_("too long")))
    assert str(text) == "Images: too long"


def test_half_of_a_number_keeps_its_kind():
    recipe = with_value(with_value(Recipe(), "training.batch_size", 1), "training.learning_rate", 0.5)
    assert halved(recipe, "training.batch_size") == 1
    assert halved(recipe, "training.learning_rate") == 0.25


def test_the_button_changes_the_open_recipe(window):
    before = window.workspace.recipe.training.batch_size
    HALVE_BATCH.run(window, error_message(StudioError("out-of-memory", "x")))
    assert window.workspace.recipe.training.batch_size == before // 2


def test_the_button_changes_the_queued_recipe_that_failed(window, make_recipe, monkeypatch):
    started = []
    monkeypatch.setattr(
        window.workspace.trainer, "start", lambda recipe, queued=False: started.append((recipe, queued))
    )
    queue, queued = window.workspace.queue, make_recipe(learning_rate=0.5)
    queue.add(queued)
    queue._apply(lambda: queue._queue.mark_failed(queue.rows[0].id, "Out of memory."))
    before = window.workspace.recipe
    HALVE_RATE.run(window, error_message(StudioError("diverged", "x"), queued))
    assert window.workspace.recipe == before
    assert [row.recipe.training.learning_rate for row in queue.rows] == [0.25]
    assert [(recipe.training.learning_rate, was_queued) for recipe, was_queued in started] == [(0.25, True)]


def test_each_action_is_possible_in_the_window(window, monkeypatch):
    called = []
    monkeypatch.setattr("studio.ui.window.main_window.show_folder", called.append)
    chooser = type(window.page("data").chooser)
    monkeypatch.setattr(chooser, "choose_folder", lambda self: called.append("folder"))
    monkeypatch.setattr(chooser, "choose_list", lambda self: called.append("list"))
    monkeypatch.setattr(window.page("adapters"), "choose_backbone", lambda: called.append("backbone"))
    for action in set(ACTIONS.values()):
        action.run(window, error_message(StudioError("x", "y")))
    assert len(called) == 4
    assert find_window(window.page("train").banner) is window
    OPEN_LOG.run(window, error_message(ValueError()))
    assert window.pages.current_name == "log"
