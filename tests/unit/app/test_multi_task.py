"""Tasks: each predicts as its own run on the shared backbone; strengths and fusion."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from studio.app.multi_task import TaskSet
from studio.app.prediction import ImagePrediction, predict
from studio.app.training import check_trainable, create_run, train
from studio.cli.main import main
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Recipe
from studio.core.run import Run
from studio.export import write_export
from studio.export.contract import Verification
from tests.unit.conftest import MakeRecipe


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are not about the verification."""

    def fill(exporter, subject, folder):
        from studio.export import sidecar_files

        exporter.write(subject, folder)
        sidecar_files.write_sidecar_files(exporter, subject, folder)
        return Verification(0.0, 1.0, 1, 0.0, 1.0, "nothing")

    monkeypatch.setattr(write_export, "write_export", fill)


def trained(recipe: Recipe, path: Path, method: str, at: str) -> Run:
    attachment = Attachment(name="a", method=method, at=(at,))
    run = create_run(recipe.model_copy(update={"attachments": (attachment,)}), path)
    for _ in train(run, TrainControl()):
        pass
    return run


@pytest.fixture
def runs(make_recipe: MakeRecipe, tmp_path: Path) -> list[Run]:
    recipe = make_recipe(epochs=1, learning_rate=0.05)
    return [
        trained(recipe, tmp_path / "low", "lora", "blocks.*.attn.qkv"),
        trained(recipe, tmp_path / "narrow", "pfeiffer", "blocks.*.mlp"),
    ]


@pytest.fixture
def images(runs: list[Run]) -> list[Path]:
    return sorted(Path(runs[0].recipe.data.path).glob("*/*.png"))[::6]


def figures(answers: list[ImagePrediction]) -> list[dict[str, float]]:
    return [answer.probabilities for answer in answers]


def test_each_task_answers_as_its_run_does_however_they_take_turns(runs: list[Run], images: list[Path]) -> None:
    tasks = TaskSet.open([run.path for run in runs])
    assert tasks.names == ("low", "narrow")
    alone = {run.path.name: figures(predict(run.path, images)) for run in runs}
    for _ in range(2):
        assert {name: figures(said) for name, said in tasks.predict_all(images).items()} == alone
    tasks.remove("narrow")
    assert figures(tasks.predict("low", images)) == alone["low"]
    assert tasks.add(runs[1].path) == "narrow"
    assert figures(tasks.predict("narrow", images)) == alone["narrow"]


def test_strengths_and_switches_belong_to_the_task(runs: list[Run], images: list[Path]) -> None:
    tasks = TaskSet.open([run.path for run in runs])
    (dial,) = tasks.controls("narrow")
    assert (dial.label, dial.enabled, dial.strength, dial.not_scalable_reason) == ("Pfeiffer adapter", True, 1.0, "")
    whole = tasks.predict_all(images)
    tasks.set_strength("narrow", "a", 0.4)
    changed = tasks.predict_all(images)
    assert figures(changed["narrow"]) != figures(whole["narrow"])
    assert figures(changed["low"]) == figures(whole["low"])
    assert tasks.controls("narrow")[0].strength == 0.4
    tasks.set_strength("narrow", "a", 0.0)
    off = figures(tasks.predict("narrow", images))
    tasks.set_strength("narrow", "a", 1.0)
    tasks.set_enabled("narrow", "a", enabled=False)
    assert figures(tasks.predict("narrow", images)) == off
    tasks.set_enabled("narrow", "a", enabled=True)
    assert figures(tasks.predict("narrow", images)) == figures(whole["narrow"])


def test_adapters_become_a_fusion_that_can_be_trained(runs: list[Run], tmp_path: Path) -> None:
    other = trained(runs[1].recipe, tmp_path / "other", "pfeiffer", "blocks.*.mlp")
    recipe = TaskSet.open([runs[1].path, other.path]).fusion_recipe(runs[1].recipe)
    (fusion,) = recipe.attachments
    assert fusion.method == "fusion"
    check_trainable(recipe)
    with pytest.raises(StudioError, match="cannot be fused"):
        TaskSet.open([run.path for run in runs]).fusion_recipe(runs[0].recipe)


def test_the_command_line_shows_them_side_by_side(runs: list[Run], images: list[Path]) -> None:
    packs = [part for run in runs for part in ("--pack", str(run.path))]
    done = CliRunner().invoke(main, ["predict", *packs, "--json", *map(str, images)])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)["packs"]
    assert list(said) == ["low", "narrow"]
    assert [row["image"] for row in said["low"]] == list(map(str, images))
    assert said["low"] == [answer.as_json() for answer in predict(runs[0].path, images)]
    text = CliRunner().invoke(main, ["predict", *packs, *map(str, images)]).stdout.splitlines()
    assert text[0].split() == ["image", "low", "narrow"]
    assert len(text) == 1 + len(images)


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path, runs: list[Run]) -> None:
    with pytest.raises(StudioError, match="neither an adapter nor a run"):
        TaskSet.open([tmp_path])
    folder = runs[0].path / "exports" / "adapter"
    TaskSet.open([runs[0].path])
    (folder / "labels.json").write_text("oops")
    with pytest.raises(StudioError, match="is damaged"):
        TaskSet.open([folder])
