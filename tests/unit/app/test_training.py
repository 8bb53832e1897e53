"""Errors of a recipe are found before anything is written."""

from pathlib import Path

import pytest

from studio.app import training
from studio.app.prediction import open_classifier, predict
from studio.core import events
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.training import loop
from tests.unit.conftest import MakeRecipe, trained


def test_a_run_is_made_trained_and_its_result_read_back(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    run = trained(make_recipe(epochs=1), tmp_path / "run")
    result = training.read_result(run)
    assert (result.reason, result.run) == ("completed", str(run.path))
    assert result.metrics["split"] == "validation"
    assert result.best_accuracy == max(e.accuracy for e in run.events() if type(e).__name__ == "Evaluation")


def test_a_pattern_that_matches_nothing_leaves_nothing(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(StudioError, match=r"No layer matches layers\.\*\.qkv"):
        training.create_run(make_recipe(at="layers.*.qkv"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_weights_that_do_not_load_leave_nothing(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe()
    run = training.create_run(recipe, tmp_path / "run")
    broken = recipe.backbone.model_copy(update={"weights": str(tmp_path / "gone")})
    recipe.model_copy(update={"backbone": broken}).save(run.path / "recipe.toml")
    with pytest.raises(StudioError, match="gone"):
        list(training.train(run, TrainControl()))
    assert not run.path.exists()


def test_a_run_that_fails_after_its_first_steps_stays(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.train

    def failing(*given):
        for count, event in enumerate(real(*given)):
            if count == 6:
                raise StudioError("disk-full", "The disk is full.")
            yield event

    monkeypatch.setattr(loop, "train", failing)
    run = training.create_run(make_recipe(), tmp_path / "run")
    with pytest.raises(StudioError, match="disk is full"):
        list(training.train(run, TrainControl()))
    assert training.has_steps(run)


def test_a_resumed_run_keeps_its_recipe(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    control = TrainControl()
    run = training.create_run(make_recipe(epochs=2), tmp_path / "run")
    for event in training.train(run, control):
        if type(event).__name__ == "Step":
            control.stop()
    assert training.read_result(run).reason == "stopped"
    with pytest.raises(StudioError, match="keeps its recipe"):
        training.open_for_resume(run.path, None, ["training.seed=5"])
    with pytest.raises(StudioError, match="is a recipe, not a run"):
        training.open_for_resume(run.path / "recipe.toml")
    list(training.train(training.open_for_resume(run.path), TrainControl(), resume=True))
    assert training.read_result(run).reason == "completed"


def test_a_complete_run_can_be_given_more_epochs(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    run = trained(make_recipe(epochs=1), tmp_path / "run")
    with pytest.raises(StudioError, match="Increase the number of epochs"):
        list(training.train(training.open_for_resume(run.path), TrainControl(), resume=True))
    list(training.train(training.open_for_resume(run.path, None, ["training.epochs=2"]), TrainControl(), resume=True))
    assert training.read_result(run).metrics["epoch"] == 2


def test_a_run_that_failed_says_why(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    run = trained(make_recipe(epochs=1), tmp_path / "run")
    run.append_event(events.Error(text="The disk is full."))
    with pytest.raises(StudioError, match="The disk is full"):
        training.read_result(run)


def test_a_folder_that_is_neither_run_nor_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="neither a run nor an export"):
        open_classifier(tmp_path)


def test_probabilities_add_up_and_come_likeliest_first(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(epochs=1)
    run = trained(recipe, tmp_path / "run")
    images = sorted(Path(recipe.data.path).glob("*/*.png"))[:3]
    answers = predict(run.path, images)
    for answer in answers:
        odds = list(answer.probabilities.values())
        assert set(answer.probabilities) == {"a", "b", "c"}
        assert sum(odds) == pytest.approx(1, abs=1e-5)
        assert odds == sorted(odds, reverse=True)
        assert answer.as_json()["class"] == next(iter(answer.probabilities))
    with pytest.raises(StudioError, match="cannot be read"):
        predict(run.path, [tmp_path / "none.png"])
