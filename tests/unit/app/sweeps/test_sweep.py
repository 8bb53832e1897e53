"""Sweeps: their points, each of which is trained once."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from studio.app.inspection import Inspector
from studio.app.sweeps import sweep
from studio.app.sweeps.grid import SweepPoint, expand_grid
from studio.core import events
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.paths import resource
from studio.core.recipe import Recipe
from studio.core.run import Run
from tests.unit.conftest import MakeRecipe

DIGITS = Recipe.load(resource("recipes", "digits-lora.toml"))


def trained(folder: Path, what: list[SweepPoint]) -> tuple[list[str], list[str]]:
    """Train a sweep; the labels of the runs that were trained, and what was said."""
    shown: list[str] = []
    said: list[str] = []

    def show(label: str, happening: Iterable[events.Event]) -> None:
        shown.append(label)
        list(happening)

    sweep.run_sweep(sweep.Sweep.create(folder, what), TrainControl(), show, said.append)
    return shown, said


def test_a_grid_has_every_combination_with_every_seed() -> None:
    found = expand_grid(DIGITS, ["attachments.lora.rank=2,4", "training.optimizer=adamw,sgd"], seeds=2)
    assert len(found) == 8
    assert found[0].name == "rank-2_optimizer-adamw_seed-0"
    assert found[-1].name == "rank-4_optimizer-sgd_seed-1"
    last = found[-1].recipe
    assert (last.find_attachment("lora").config["rank"], last.training.optimizer, last.training.seed) == (4, "sgd", 1)
    assert last.find_attachment("lora").config["alpha"] == 16.0


def test_without_axes_there_is_the_recipe_itself() -> None:
    assert expand_grid(DIGITS) == [SweepPoint("run", DIGITS)]


def test_keys_with_the_same_ending_stay_distinct() -> None:
    two = DIGITS.model_copy(
        update={"attachments": (*DIGITS.attachments, DIGITS.attachments[0].model_copy(update={"name": "b"}))}
    )
    (found,) = expand_grid(two, ["attachments.lora.rank=2", "attachments.b.rank=4"])
    assert found.name == "attachments.lora.rank-2_attachments.b.rank-4"


@pytest.mark.parametrize(
    ("axis", "sentence"),
    [
        ("training.epochs", "not of the form"),
        ("training.epochs=", "not of the form"),
        ("training.epochs=2,2", "Two points of the sweep would be called epochs-2"),
        ("training.epochs=2,many", r"training\.epochs"),
        ("training.speed=1,2", "not a known key"),
    ],
)
def test_a_wrong_axis_is_refused(axis: str, sentence: str) -> None:
    with pytest.raises(StudioError, match=sentence):
        expand_grid(DIGITS, [axis])


def test_the_preset_of_ranks() -> None:
    found = expand_grid(DIGITS, preset="ranks")
    assert [p.name for p in found] == ["rank-2", "rank-4", "rank-8", "rank-16", "rank-32"]
    assert [p.recipe.find_attachment("lora").config["rank"] for p in found] == [2, 4, 8, 16, 32]
    with pytest.raises(StudioError, match="has a rank"):
        expand_grid(Recipe(), preset="ranks")


@pytest.mark.parametrize("rank", [4, 8, 32])
def test_lora_and_adapter_have_as_many_parameters_as_whole_features_allow(rank: int) -> None:
    lora, adapter = expand_grid(DIGITS, [f"attachments.lora.rank={rank}"], preset="lora-against-adapter")
    inspector = Inspector(DIGITS.backbone)

    def count(bottleneck: int | None = None) -> int:
        (attachment,) = (adapter if bottleneck else lora).recipe.attachments
        config = {**attachment.config, "bottleneck": bottleneck} if bottleneck else attachment.config
        return inspector.parameter_counts([attachment.model_copy(update={"config": config})]).attachments[0].parameters

    chosen = int(adapter.recipe.attachments[0].config["bottleneck"])
    assert count() == 6 * 2 * rank * (96 + 96)
    off = abs(count(chosen) - count())
    assert off <= abs(count(chosen + 1) - count())
    assert chosen == 1 or off <= abs(count(chosen - 1) - count())
    with pytest.raises(StudioError, match="exactly one LoRA"):
        expand_grid(Recipe(), preset="lora-against-adapter")


def stopping_at_first_step(folder: Path, what: list[SweepPoint]) -> None:
    control = TrainControl()

    def show(label: str, happening: Iterable[events.Event]) -> None:
        for event in happening:
            if isinstance(event, events.Step):
                control.stop()

    sweep.run_sweep(sweep.Sweep.create(folder, what), control, show, lambda text: None)


def test_a_sweep_resumes_and_trains_nothing_twice(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    what = expand_grid(make_recipe(epochs=1), ["attachments.lora.rank=1,2"])
    folder, straight = tmp_path / "sweep", tmp_path / "straight"
    stopping_at_first_step(folder, what)
    assert not (folder / "rank-2").exists()
    assert not sweep.is_complete(Run(folder / "rank-1"))

    assert trained(folder, what) == (["1 of 2, rank-1", "2 of 2, rank-2"], [])
    assert trained(folder, what) == ([], ["1 of 2, rank-1: already complete", "2 of 2, rank-2: already complete"])
    trained(straight, what)
    for name in ("rank-1", "rank-2"):
        adapters = [(place / name / "adapter.safetensors").read_bytes() for place in (folder, straight)]
        assert adapters[0] == adapters[1]
    assert [row.state for row in sweep.Sweep.open(folder).comparison().runs] == ["completed", "completed"]


def test_a_point_that_fails_does_not_keep_the_others(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    what = expand_grid(make_recipe(epochs=1), ["attachments.lora.rank=1,2"])
    folder = tmp_path / "sweep"
    sweep.Sweep.create(folder, what)
    broken = what[0].recipe.backbone.model_copy(update={"weights": str(tmp_path / "gone")})
    Run.create(what[0].recipe.model_copy(update={"backbone": broken}), folder / "rank-1")
    _, said = trained(folder, what)
    assert len(said) == 1
    assert said[0].startswith("1 of 2, rank-1: ")
    assert sweep.is_complete(Run(folder / "rank-2"))


def test_a_sweep_that_cannot_be_trained_leaves_nothing(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    what = expand_grid(make_recipe(), ['attachments.lora.at=["blocks.*.attn.qkv"],["nowhere"]'])
    with pytest.raises(StudioError, match="No layer matches nowhere"):
        sweep.Sweep.create(tmp_path / "sweep", what)
    assert not (tmp_path / "sweep").exists()


def test_another_sweep_or_anything_else_is_not_written_over(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe()
    sweep.Sweep.create(tmp_path / "sweep", expand_grid(recipe, ["training.epochs=1,2"]))
    with pytest.raises(StudioError, match="contains another sweep"):
        sweep.Sweep.create(tmp_path / "sweep", expand_grid(recipe, ["training.epochs=1,3"]))
    with pytest.raises(StudioError, match="not empty"):
        sweep.Sweep.create(tmp_path, expand_grid(recipe))
    (tmp_path / "sweep" / "sweep.json").write_text('{"points": [{"name": "../out"}]}')
    with pytest.raises(StudioError, match="damaged"):
        sweep.Sweep.open(tmp_path / "sweep")


def test_a_stranger_s_sweep_stays_in_its_folder(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    made = sweep.Sweep.create(tmp_path / "sweep", expand_grid(make_recipe()))
    path = made.folder / "sweep.json"
    path.write_text(path.read_text().replace('"run"', '"../run"'))
    with pytest.raises(StudioError, match="outside its folder"):
        sweep.Sweep.open(made.folder)


def test_a_sweep_is_started_from_a_recipe_file_and_opened_from_its_folder(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    file, folder = tmp_path / "recipe.toml", tmp_path / "sweep"
    make_recipe().save(file)
    made = sweep.open_or_create_sweep(file, folder, ["training.epochs=1,2"], seeds=2)
    assert len(made.points) == 4
    assert sweep.open_or_create_sweep(folder) == made
    with pytest.raises(StudioError, match="its own points"):
        sweep.open_or_create_sweep(folder, seeds=2)
    with pytest.raises(StudioError, match="--out"):
        sweep.open_or_create_sweep(file)
