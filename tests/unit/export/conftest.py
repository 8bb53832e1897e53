"""A trained run, and export sources with any attachments, whose tensors all affect the output."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.app.prediction import open_classifier
from studio.backbones import loading
from studio.core.messages import N_
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.data.images.decode import read_image
from studio.export import Exporter, ExportSource, verify
from studio.peft import attach
from tests.unit.conftest import MakeRecipe, trained

MakeSource = Callable[[Sequence[dict[str, Any]]], ExportSource]


@pytest.fixture
def recipe(make_recipe: MakeRecipe) -> Recipe:
    return make_recipe(epochs=1, learning_rate=0.05)


@pytest.fixture
def run(recipe: Recipe, tmp_path: Path) -> Run:
    """A run of one epoch, at a learning rate that changes the adapter a lot."""
    return trained(recipe, tmp_path / "run")


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load exports in this process, which is quicker, in tests that are not about the process."""

    def load(exporter: Exporter, folder: Path, batches: Sequence[Sequence[Path]]) -> verify._ExportLogits:
        classifier = open_classifier(folder)
        images = [classifier.preprocessing(read_image(path)) for batch in batches for path in batch]
        with torch.inference_mode():
            return verify._ExportLogits(classifier.logits(torch.stack(images)), N_("this process"))

    monkeypatch.setattr(verify, "_run_predict_script", load)


@pytest.fixture
def make_source(recipe: Recipe, tmp_path: Path) -> MakeSource:
    """Return a source with these attachments on the small backbone, and random changes of every adapter tensor."""

    def make(attachments: Sequence[dict[str, Any]]) -> ExportSource:
        raw = recipe.model_dump(by_alias=True) | {"attachments": list(attachments)}
        changed = Recipe.from_mapping(raw)
        torch.manual_seed(1)
        module = loading.load_backbone(changed.backbone, 3)
        identity, preprocessing = loading.weights_digest(module), loading.resolve_preprocessing(module)
        attached = attach(module, changed.attachments)
        with torch.no_grad():
            for parameter in attached.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        return ExportSource(Run(tmp_path / "run"), changed, attached.eval(), ("a", "b", "c"), preprocessing, identity)

    return make


def elsewhere(code: str) -> str:
    """Return the output of Python code in a fresh process in which this program cannot be imported."""
    guarded = f"import sys; sys.modules['studio'] = None\n{code}"
    done = subprocess.run([sys.executable, "-I", "-c", guarded], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def images_of(recipe: Recipe) -> list[Path]:
    """Return the images of the tests' recipe."""
    return sorted(Path(recipe.data.path).glob("*/*.png"))
