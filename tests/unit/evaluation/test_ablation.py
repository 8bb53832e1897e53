"""Ablation: real evaluations without each attachment, and weight changes by the paper's formula."""

import json
from pathlib import Path

import pytest
import torch

from studio.cli.ablation_text import ablation_parts
from studio.cli.tables import plain_text
from studio.core.recipe import Attachment
from studio.core.run import Run
from studio.evaluation import evaluate, restore
from studio.evaluation.ablation import analyze_run, effective_rank
from studio.evaluation.evaluate import evaluate_split
from tests.unit.conftest import MakeRecipe, trained

NARROW = Attachment(name="narrow", method="pfeiffer", at=("blocks.*.mlp",), config={"bottleneck": 2})


@pytest.fixture
def run(make_recipe: MakeRecipe, tmp_path: Path) -> Run:
    recipe = make_recipe(epochs=2, learning_rate=0.05)
    return trained(recipe.model_copy(update={"attachments": (*recipe.attachments, NARROW)}), tmp_path / "run")


def test_each_attachment_is_disabled_alone(run: Run) -> None:
    found = analyze_run(run)
    assert found.accuracy == evaluate(run).accuracy
    assert [(a.name, a.method) for a in found.ablations] == [("lora", "lora"), ("narrow", "pfeiffer")]
    for ablation in found.ablations:
        assert ablation.accuracy_without == _without(run, ablation.name)
        assert ablation.accuracy_drop == pytest.approx(found.accuracy - ablation.accuracy_without)
        assert ablation.accuracy_per_1k_params == pytest.approx(1000 * ablation.accuracy_drop / ablation.parameters)


def _without(run: Run, name: str) -> float:
    """Return the accuracy with an attachment's output tensors at zero, another way to disable it."""
    restored = restore.load_trained(run)
    with torch.no_grad():
        for key, tensor in restored.model.state_dict().items():
            if key.startswith(f"{name}/") and ("lora_B" in key or "up." in key):
                tensor.zero_()
    return evaluate_split(run, restored).accuracy


def test_weight_changes_are_scale_b_a_and_those_of_the_head(run: Run) -> None:
    changes = {(c.attachment, c.layer, c.tensor): c for c in analyze_run(run).changes}
    assert {key[:2] for key in changes} == {
        ("lora", "blocks.0.attn.qkv"),
        ("lora", "blocks.1.attn.qkv"),
        ("head", "head"),
    }
    restored = restore.load_trained(run).model
    state = restored.state_dict()
    a = state["lora/blocks.0.attn.qkv/lora_A"].double()
    b = state["lora/blocks.0.attn.qkv/lora_B"].double()
    deltas = [b[:16] @ a[:8], b[16:] @ a[8:]]
    found = changes["lora", "blocks.0.attn.qkv", "weight"]
    assert found.norm == pytest.approx(float(torch.cat(deltas).norm()), rel=1e-5)
    values = torch.linalg.svdvals(torch.cat(deltas))
    shares = values[values > 0] / values.sum()
    assert found.effective_rank == pytest.approx(float((-(shares * shares.log()).sum()).exp()), rel=1e-4)
    assert found.effective_rank < 16.01
    assert ("lora", "blocks.0.attn.qkv", "bias") not in changes
    assert changes["head", "head", "bias"].effective_rank is None
    assert changes["head", "head", "weight"].norm > 0


def test_the_effective_rank_is_the_rank_if_all_singular_values_are_equal() -> None:
    assert effective_rank(torch.eye(5, 8)) == pytest.approx(5)
    assert effective_rank(torch.ones(4, 6)) == pytest.approx(1, abs=1e-4)
    assert 1 < effective_rank(torch.diag(torch.tensor([1.0, 0.1]))) < 2


def test_an_analysis_is_written_as_json_and_as_text(run: Run) -> None:
    found = analyze_run(run, "train")
    assert json.loads(json.dumps(found.as_json()))["split"] == "train"
    text = plain_text(*ablation_parts(found))
    assert "blocks.1.attn.qkv.weight" in text
    assert "narrow" in text
