"""Inference sessions: predictions of several adapters, and saliency."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from studio.app import training
from studio.app.inference_session import InferenceSession, export_snapshot
from studio.app.prediction import predict
from studio.core.errors import StudioError
from studio.core.recipe import Attachment
from studio.core.run import Run
from tests.unit.conftest import MakeImages, MakeRecipe, trained


@pytest.fixture
def run(make_recipe: MakeRecipe, tmp_path: Path) -> Run:
    return trained(make_recipe(epochs=2, learning_rate=0.05), tmp_path / "first")


@pytest.fixture
def other(make_recipe: MakeRecipe, tmp_path: Path) -> Run:
    return trained(make_recipe(epochs=1, lora=False, seed=3), tmp_path / "second")


def test_each_answers_as_it_does_alone_and_nothing_is_written(run: Run, other: Run, tmp_path: Path) -> None:
    image = next((tmp_path / "images/a").glob("*.png"))
    alone = {one.path.name: predict(one.path, [image])[0].probabilities for one in (run, other)}
    files = sorted(run.path.rglob("*"))
    bench = InferenceSession(run)
    assert bench.add(other.path) == "second"
    for reply in (*bench.predict(image), *bench.predict(image)):
        assert reply.prediction.probabilities == pytest.approx(alone[reply.name], abs=1e-6)
        assert reply.switch_ms < 50
    bench.remove("second")
    assert bench.names == ("first",)
    assert sorted(run.path.rglob("*")) == files
    bench.close()


def test_parts_are_switched_and_turned_down(run: Run, tmp_path: Path) -> None:
    image = next((tmp_path / "images/b").glob("*.png"))
    bench = InferenceSession(run)
    whole = bench.predict(image)[0].prediction.probabilities
    bench.set_control("first", "lora", False, 1.0)
    off = bench.predict(image)[0].prediction.probabilities
    bench.set_control("first", "lora", True, 0.5)
    half = bench.predict(image)[0].prediction.probabilities
    assert [d.strength for d in bench.controls()["first"]] == [0.5]
    bench.set_control("first", "lora", True, 1.0)
    assert bench.predict(image)[0].prediction.probabilities == whole
    assert off != whole
    assert half not in (off, whole)
    bench.close()


def test_it_shows_where_it_looked(run: Run, tmp_path: Path) -> None:
    image = next((tmp_path / "images/c").glob("*.png"))
    bench = InferenceSession(run)
    for kind in ("grad-cam", "rollout"):
        look = bench.saliency_map("first", image, kind)
        assert look.pixels.shape == (32, 32, 3)
        assert look.heatmap.shape == (4, 4)
        assert look.label == bench.predict(image)[0].prediction.top_k(1)[0][0]
    named = bench.saliency_map("first", image, "grad-cam", "b")
    assert named.label == "b"
    assert named.heatmap.dtype == np.float32
    bench.close()


def test_a_run_on_another_backbone_is_refused(
    run: Run, make_recipe: MakeRecipe, tiny_backbone: Path, tmp_path: Path
) -> None:
    weights = shutil.copytree(tiny_backbone, tmp_path / "other")
    tensors = load_file(weights / "model.safetensors")
    save_file(tensors | {"norm.bias": tensors["norm.bias"] + 1}, weights / "model.safetensors")
    recipe = make_recipe(epochs=1)
    backbone = recipe.backbone.model_copy(update={"weights": str(weights)})
    stranger = trained(recipe.model_copy(update={"backbone": backbone}), tmp_path / "stranger")
    bench = InferenceSession(run)
    with pytest.raises(StudioError, match="another backbone"):
        bench.add(stranger.path)
    assert bench.names == ("first",)
    bench.close()


def test_fusing_begins_a_recipe_of_adapters_and_says_why_others_cannot(
    run: Run, make_recipe: MakeRecipe, make_images: MakeImages, tmp_path: Path
) -> None:
    adapter = Attachment(name="adapter", method="pfeiffer", at=("blocks.*.mlp",), config={"bottleneck": 2})
    recipes = [make_recipe(epochs=1, seed=s).model_copy(update={"attachments": (adapter,)}) for s in (1, 2)]
    first, second = (trained(recipe, tmp_path / f"adapter{i}") for i, recipe in enumerate(recipes))
    for one in (first, second, run):
        export_snapshot(one, one.path / "exports" / "adapter")  # an export would be verified in a process of its own
    bench = InferenceSession(first)
    bench.add(second.path)
    fused = bench.fusion_recipe(first.recipe, bench.names)
    assert [a.method for a in fused.attachments] == ["fusion"]
    folders = [Path(str(folder)) for folder in fused.attachments[0].config["adapters"]]
    assert folders == [one.path / "exports" / "adapter" for one in (first, second)]
    assert training.create_run(fused, tmp_path / "fused").recipe.attachments == fused.attachments
    bench.add(run.path)
    with pytest.raises(StudioError, match="cannot be fused"):
        bench.fusion_recipe(first.recipe, ("adapter0", "first"))
    bench.close()
