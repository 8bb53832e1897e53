"""Memory and time are estimated from real steps, without side effects."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.app import estimate_cache as shown
from studio.app import training
from studio.core import events
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.training.backend import memory
from studio.training.estimation import resource_estimate
from studio.training.estimation.resource_estimate import estimate_resources
from studio.training.loop import train

MakeRecipe = Callable[..., Recipe]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("values", [{}, {"at": "blocks.1.attn.qkv"}, {"accumulation": 5}, {"batch_size": 1}])
def test_the_figures_are_there_and_nothing_is_left(
    make_recipe: MakeRecipe, tmp_path: Path, values: dict[str, Any]
) -> None:
    recipe = make_recipe(**values)
    before = sorted(tmp_path.rglob("*"))
    found = estimate_resources(recipe)
    assert sorted(tmp_path.rglob("*")) == before
    run = Run.create(recipe, tmp_path / "run")
    started = next(event for event in train(run, TrainControl()) if isinstance(event, events.Started))
    assert (found.trainable, found.device) == (started.trainable_parameters, started.device)
    assert found.batch_size == recipe.training.batch_size
    assert 0 < found.seconds_per_step < found.seconds_per_epoch
    assert found.fits_in_memory
    assert found.available_memory_bytes > 0


def test_random_numbers_and_the_training_after_it_are_the_same(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(epochs=1)
    plain, measured = (Run.create(recipe, tmp_path / name) for name in ("plain", "measured"))
    list(train(plain, TrainControl()))
    torch.manual_seed(3)
    state = torch.get_rng_state()
    estimate_resources(recipe)
    assert torch.equal(torch.get_rng_state(), state)
    list(train(measured, TrainControl()))
    assert (plain.path / "adapter.safetensors").read_bytes() == (measured.path / "adapter.safetensors").read_bytes()


def test_an_estimate_can_be_stopped(make_recipe: MakeRecipe) -> None:
    control = TrainControl()
    control.stop()
    with pytest.raises(StudioError, match="was stopped"):
        estimate_resources(make_recipe(), control)


def test_a_recipe_that_does_not_fit_is_reported(make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1)
    found = estimate_resources(make_recipe())
    assert not found.fits_in_memory
    assert "not enough" in shown.format_estimate(found)


def test_memory_on_a_line_through_two_batch_sizes() -> None:
    def trial(batch: int, taken: int) -> Any:
        fields = dict.fromkeys(resource_estimate._TrialRun.__dataclass_fields__, 0)
        return resource_estimate._TrialRun(**fields | {"batch": batch, "bytes": taken})  # type: ignore[arg-type]

    def at(small: Any, large: Any, images: int) -> float:
        return resource_estimate._LinearFit.from_trials(small, large, lambda one: one.bytes)(images)

    assert at(trial(8, 180), trial(16, 260), 32) == 420
    assert at(trial(8, 300), trial(16, 260), 32) == 260
    assert at(trial(8, 10), trial(16, 260), 32) == 520
    assert at(trial(1, 50), trial(1, 50), 1) == 50


def test_a_run_records_its_estimate_and_its_usage(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(epochs=2)
    assert shown.cached_estimate(recipe) is None
    found = shown.estimate_in_process(recipe)
    assert shown.cached_estimate(recipe) == found
    run = training.create_run(recipe, tmp_path / "run")
    happened = list(training.train(run, TrainControl()))
    assert run.events()[0] == found
    usage = happened[-2]
    assert isinstance(usage, events.ResourceUsage)
    finished = happened[-1]
    assert isinstance(finished, events.Finished)
    assert usage.seconds_per_epoch == pytest.approx(finished.seconds / 2)
    expected, took = run.status["expected"], run.status["took"]
    assert expected == {
        "peak_memory_bytes": found.peak_memory_bytes,
        "seconds_per_epoch": pytest.approx(found.seconds_per_epoch),
    }
    assert took["seconds_per_epoch"] == usage.seconds_per_epoch


@pytest.mark.slow
def test_measured_in_a_process_of_its_own(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(epochs=1)
    found = shown.estimate_in_subprocess(recipe)
    assert found.fits_in_memory
    assert shown.cached_estimate(recipe) == found
    assert shown.estimate_json(found)["measured_at"] == found.measured_at
    with pytest.raises(StudioError, match=r"No layer matches layers\.9"):
        shown.estimate_in_subprocess(make_recipe(at="layers.9"))
