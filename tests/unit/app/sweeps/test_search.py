"""Searches: search space, resuming, and two processes in one study."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from studio.app.inspection import Inspector
from studio.app.sweeps import search as searches
from studio.app.sweeps.search_space import DEFAULT_AXES, parse_dimensions, recipe_for
from studio.core import events
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.paths import resource
from studio.core.recipe import Recipe
from tests.unit.conftest import MakeRecipe

DIGITS = Recipe.load(resource("recipes", "digits-lora.toml"))
AXES = ("method=lora,pfeiffer", "size=1,2", "training.learning_rate=0.001..0.1")


def quietly(_: str, happening: Iterable[events.Event]) -> None:
    list(happening)


@pytest.fixture
def recipe(make_recipe: MakeRecipe, tmp_path: Path) -> Path:
    make_recipe(epochs=1).save(tmp_path / "recipe.toml")
    return tmp_path / "recipe.toml"


def test_axes_are_lists_and_ranges() -> None:
    found = parse_dimensions(
        ["method=lora,dora", "size=4..64", "training.learning_rate=1e-4..1e-1", "training.warmup=0.1..0.2"]
    )
    assert [(d.key, d.choices, d.low, d.high, d.integer, d.logarithmic) for d in found] == [
        ("method", ("lora", "dora"), 0.0, 0.0, False, False),
        ("size", (), 4.0, 64.0, True, True),
        ("training.learning_rate", (), 1e-4, 1e-1, False, True),
        ("training.warmup", (), 0.1, 0.2, False, False),
    ]
    assert {d.key for d in parse_dimensions([])} == {"method", "size", "placement", "training.learning_rate"}
    assert len(DEFAULT_AXES) == 4
    for wrong in ("size=8..2", "placement=somewhere", "placement=1..2", "size"):
        with pytest.raises(StudioError):
            parse_dimensions([wrong])


def test_a_choice_becomes_a_recipe() -> None:
    inspector = Inspector(DIGITS.backbone, 10)
    values = {"method": "pfeiffer", "size": 4, "placement": "last-half", "training.learning_rate": 0.02}
    found = recipe_for(DIGITS, inspector, values)
    (attachment,) = found.attachments
    assert (attachment.method, attachment.config["bottleneck"], found.training.learning_rate) == ("pfeiffer", 4, 0.02)
    (counted,) = inspector.parameter_counts([attachment]).attachments
    assert counted.matched == ("blocks.3.mlp", "blocks.4.mlp", "blocks.5.mlp")
    kept = recipe_for(DIGITS, inspector, {"size": 2, "placement": "last-quarter"}).attachments[0]
    assert (kept.method, kept.config["rank"], kept.slices) == ("lora", 2, ("q", "v"))
    assert inspector.parameter_counts([kept]).attachments[0].matched == ("blocks.4.attn.qkv", "blocks.5.attn.qkv")


def test_a_search_resumes_and_can_get_more_trials(recipe: Path, tmp_path: Path) -> None:
    out, control = tmp_path / "search", TrainControl()

    def stop_in_the_second(label: str, happening: Iterable[events.Event]) -> None:
        for event in happening:
            if isinstance(event, events.Step) and label.startswith("2"):
                control.stop()

    first = searches.open_or_create_search(recipe, out, AXES, 3, 1, "")
    searches.run_search(first, control, stop_in_the_second, print)
    assert not first.complete
    assert len(first.runs()) == 2
    begun = [run.recipe for run in first.runs()]

    again = searches.open_or_create_search(out, None, (), 1, 1, "")
    said: list[str] = []
    searches.run_search(again, TrainControl(), quietly, said.append)
    assert again.complete
    assert said == []
    assert len(again.runs()) == 3
    assert [run.recipe for run in again.runs()][:2] == begun
    assert all(row.state == "completed" for row in again.comparison().runs)

    more = searches.open_or_create_search(recipe, out, AXES, 4, 1, "")
    searches.run_search(more, TrainControl(), quietly, said.append)
    assert len(more.runs()) == 4
    with pytest.raises(StudioError, match="another search"):
        searches.open_or_create_search(recipe, out, AXES[:2], 4, 1, "")


def test_a_trial_is_the_mean_of_its_seeds_and_a_failed_one_is_reported(recipe: Path, tmp_path: Path) -> None:
    search = searches.open_or_create_search(recipe, tmp_path / "search", ("method=lora", "size=1,2"), 1, 2, "")
    searches.run_search(search, TrainControl(), quietly, print)
    assert [run.recipe.training.seed for run in search.runs()] == [0, 1]
    (trial,) = searches._study(search).get_trials()
    accuracies = [row.accuracy for row in search.comparison().runs]
    assert trial.value == pytest.approx(sum(accuracies) / 2)

    said: list[str] = []
    broken = searches.open_or_create_search(recipe, tmp_path / "broken", ("method=nonsense",), 2, 1, "")
    searches.run_search(broken, TrainControl(), quietly, said.append)
    assert len(said) == 2
    assert "nonsense" in said[0]


@pytest.mark.slow
def test_two_processes_share_one_search(recipe: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "studio", "sweep", str(recipe), "--search", "4", "--out", str(tmp_path / "search")]
    axes = [part for axis in AXES for part in ("--set", axis)]
    environment = os.environ | {"PEFT_STUDIO_HOME": str(tmp_path / "home")}
    searches.open_or_create_search(recipe, tmp_path / "search", AXES, 4, 1, "")
    workers = [
        subprocess.Popen([*command, *axes], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [worker.communicate(timeout=240) for worker in workers]
    found = searches.Search.open(tmp_path / "search")
    assert found.complete, said
    assert len(found.runs()) == 4
    assert all(state.is_finished() for state in (t.state for t in searches._study(found).get_trials()))
    assert (tmp_path / "search" / "report.html").is_file()


def test_without_optuna_there_is_a_sentence(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(StudioError, match=r"pip install 'peft-studio\[search\]'"):
        searches.open_or_create_search(recipe, tmp_path / "search", (), 2, 1, "")
    assert not (tmp_path / "search").exists()
