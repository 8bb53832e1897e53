"""Overrides of single images hold in the run, from training to evaluation."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.app.training import create_run, train
from studio.core import events
from studio.core.control import TrainControl
from studio.core.recipe import Recipe
from studio.data.dataset import split_manifest
from studio.evaluation import evaluate

MakeRecipe = Callable[..., Recipe]


@pytest.fixture
def recipe(make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Three classes of 8 images: two excluded, one of c called a, two moved to the test images."""
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(tmp_path / "home"))
    made = make_recipe(epochs=1)
    decided = {
        "excluded": ("a/000.png", "b/000.png"),
        "labels": {"c/003.png": "a"},
        "split_overrides": {"a/001.png": "test", "b/001.png": "test"},
    }
    return made.model_copy(update={"data": made.data.model_copy(update=decided)})


def test_training_and_evaluation_use_the_overrides(recipe: Recipe, tmp_path: Path) -> None:
    run = create_run(recipe, tmp_path / "run")
    started = next(event for event in train(run, TrainControl()) if isinstance(event, events.Started))
    for _ in train(run, TrainControl(), resume=True):
        pass
    kept = split_manifest.read_split(run.path)
    assert kept is not None
    by_name = {image.path.as_posix(): image for image in kept.images}
    assert len(by_name) == 22
    assert not {"a/000.png", "b/000.png"} & by_name.keys()
    assert kept.classes[by_name["c/003.png"].label] == "a"
    assert {name for name, image in by_name.items() if image.split == "test"} == {"a/001.png", "b/001.png"}
    assert started.training_images + started.validation_images == 20
    tested = evaluate(run, "test")
    assert (tested.images, sum(one.images for one in tested.per_class)) == (2, 2)
    assert evaluate(run).images == started.validation_images


def test_a_later_decision_changes_no_score_of_the_run(recipe: Recipe, tmp_path: Path) -> None:
    run = create_run(recipe, tmp_path / "run")
    for _ in train(run, TrainControl()):
        pass
    before = evaluate(run)
    raw = json.loads((run.path / split_manifest.SPLIT_FILE).read_text())
    changed = recipe.data.model_copy(update={"excluded": (), "labels": {"a/002.png": "b"}})
    recipe.model_copy(update={"data": changed}).save(run.path / "recipe.toml")
    assert evaluate(run) == before
    assert json.loads((run.path / split_manifest.SPLIT_FILE).read_text()) == raw
