"""From a run directory back to the model and its metrics."""

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


def test_evaluation_gives_what_the_training_said_of_its_best(run: Run) -> None:
    metrics = evaluate(run)
    best = _evaluations(run)[run.status["best_epoch"]]
    assert (metrics.split, metrics.images) == ("validation", 6)
    assert metrics.accuracy == best.accuracy
    assert metrics.loss == best.loss
    assert [row.images for row in metrics.per_class] == [2, 2, 2]
    assert [row.label for row in metrics.per_class] == ["a", "b", "c"]


def test_training_images_can_be_measured_too(run: Run) -> None:
    assert evaluate(run, "train").images == 18


def test_the_last_adapter_is_that_of_the_last_epoch(run: Run) -> None:
    live = restore.load_trained(run, "last")
    images = dataset_for_split(build_index(run.recipe.data), live.preprocessing, "validation")
    with torch.no_grad():
        logits = live.model.module(torch.stack([images[i][0] for i in range(len(images))]))
    loss = torch.nn.functional.cross_entropy(logits, images.labels).item()
    assert loss == pytest.approx(_evaluations(run)[3].loss, abs=1e-6)
    assert loss != pytest.approx(_evaluations(run)[0].loss, abs=1e-3)


def test_the_model_is_rebuilt_whole(run: Run) -> None:
    live = restore.load_trained(run)
    assert live.labels == ["a", "b", "c"]
    assert live.preprocessing.size == (32, 32)
    assert not any(layer.training for layer in live.model.module.modules())
    assert len(live.weights_digest) == 64


def test_a_backbone_of_random_weights_is_the_same_again(tmp_path: Path, make_recipe: MakeRecipe) -> None:
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
    with pytest.raises(StudioError, match="weights are not those that the run"):
        restore.load_trained(run)


def test_the_recorded_division_is_used(run: Run, make_images: Callable[..., Path]) -> None:
    before = evaluate(run)
    make_images("images/a", 30), make_images("images/d", 4)
    assert evaluate(run) == before


def test_an_image_that_cannot_be_read_is_left_out(run: Run) -> None:
    images = dataset_for_split(build_index(run.recipe.data), restore.load_trained(run).preprocessing, "validation")
    images.path(0).write_bytes(b"")
    assert evaluate(run).images == 5
    for index in range(len(images)):
        images.path(index).write_bytes(b"")
    with pytest.raises(StudioError, match="None of the validation images can be read"):
        evaluate(run)


def test_what_cannot_be_evaluated(run: Run, tmp_path: Path, make_recipe: MakeRecipe) -> None:
    with pytest.raises(StudioError, match="There are no test images"):
        evaluate(run, "test")
    with pytest.raises(StudioError, match="no split called 'dev'"):
        evaluate(run, "dev")
    with pytest.raises(StudioError, match="has no best adapter yet"):
        evaluate(Run.create(make_recipe(), tmp_path / "fresh"))
