"""Loading of a run's trained model, and its metrics."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from studio.core import events
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.data.dataset.dataset import build_index, dataset_for_split
from studio.evaluation import evaluate, restore
from studio.training.loop import train

MakeRecipe = Callable[..., Recipe]


@pytest.fixture
def run(tmp_path: Path, make_recipe: MakeRecipe) -> Run:
    """A trained run."""
    made = Run.create(make_recipe(learning_rate=0.002), tmp_path / "run")
    list(train(made, TrainControl()))
    return made


def _evaluations(run: Run) -> dict[int, events.Evaluation]:
    return {event.epoch: event for event in run.events() if isinstance(event, events.Evaluation)}


def test_evaluation_equals_the_best_evaluation_of_the_training(run: Run) -> None:
    metrics = evaluate(run)
    best = _evaluations(run)[run.status["best_epoch"]]
    assert (metrics.split, metrics.images) == ("validation", 6)
    assert metrics.accuracy == best.accuracy
    assert metrics.loss == best.loss
    assert [row.images for row in metrics.per_class] == [2, 2, 2]
    assert [row.label for row in metrics.per_class] == ["a", "b", "c"]


def test_training_images_can_be_evaluated_too(run: Run) -> None:
    assert evaluate(run, "train").images == 18


def test_the_last_adapter_is_that_of_the_last_epoch(run: Run) -> None:
    trained = restore.load_trained(run, "last")
    images = dataset_for_split(build_index(run.recipe.data), trained.preprocessing, "validation")
    with torch.no_grad():
        logits = trained.model.module(torch.stack([images[i][0] for i in range(len(images))]))
    loss = torch.nn.functional.cross_entropy(logits, images.labels).item()
    assert loss == pytest.approx(_evaluations(run)[3].loss, abs=1e-6)
    assert loss != pytest.approx(_evaluations(run)[0].loss, abs=1e-3)


def test_the_loaded_model_is_complete(run: Run) -> None:
    trained = restore.load_trained(run)
    assert trained.labels == ["a", "b", "c"]
    assert trained.preprocessing.size == (32, 32)
    assert not any(layer.training for layer in trained.model.module.modules())
    assert len(trained.weights_digest) == 64


def test_a_backbone_of_random_weights_is_reproduced(tmp_path: Path, make_recipe: MakeRecipe) -> None:
    run = Run.create(make_recipe(pretrained=False, seed=5), tmp_path / "random")
    list(train(run, TrainControl()))
    state = torch.get_rng_state()
    assert evaluate(run).loss == _evaluations(run)[run.status["best_epoch"]].loss
    assert torch.equal(torch.get_rng_state(), state)


def test_another_backbone_of_the_same_shape_is_refused(run: Run, tmp_path: Path, tiny_backbone: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_backbone, other)
    tensors = load_file(other / "model.safetensors")
    save_file(tensors | {"pos_embed": tensors["pos_embed"] + 1}, other / "model.safetensors")
    recipe = run.recipe
    backbone = recipe.backbone.model_copy(update={"weights": str(other)})
    recipe.model_copy(update={"backbone": backbone}).save(run.path / "recipe.toml")
    with pytest.raises(StudioError) as raised:
        restore.load_trained(run)
    assert raised.value.code == "other-weights"


def test_the_recorded_split_is_used(run: Run, make_images: Callable[..., Path]) -> None:
    before = evaluate(run)
    make_images("images/a", 30), make_images("images/d", 4)
    assert evaluate(run) == before


def test_an_unreadable_image_is_skipped(run: Run) -> None:
    images = dataset_for_split(build_index(run.recipe.data), restore.load_trained(run).preprocessing, "validation")
    images.path(0).write_bytes(b"")
    assert evaluate(run).images == 5
    for index in range(len(images)):
        images.path(index).write_bytes(b"")
    with pytest.raises(StudioError) as raised:
        evaluate(run)
    assert raised.value.code == "no-readable-images"


@pytest.mark.parametrize(("split", "code"), [("test", "empty-split"), ("dev", "unknown-split")])
def test_a_split_without_images_is_refused(run: Run, split: str, code: str) -> None:
    with pytest.raises(StudioError) as raised:
        evaluate(run, split)
    assert raised.value.code == code


def test_a_run_without_an_adapter_is_refused(tmp_path: Path, make_recipe: MakeRecipe) -> None:
    with pytest.raises(StudioError) as raised:
        evaluate(Run.create(make_recipe(), tmp_path / "fresh"))
    assert raised.value.code == "not-finished"
