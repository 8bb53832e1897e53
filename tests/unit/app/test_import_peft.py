"""Import of a folder of HF peft: same logits, usable as any run."""

import json
from pathlib import Path

import pytest
import timm
import torch
from click.testing import CliRunner

from studio.app.import_peft import import_peft
from studio.app.prediction import open_classifier
from studio.cli.import_peft import import_
from studio.core.errors import StudioError
from studio.core.run import Run
from studio.evaluation import evaluate, restore
from studio.export import export
from tests.unit.conftest import MakeImages

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore")
PICTURES = torch.linspace(-2, 2, 2 * 3072).view(2, 3, 32, 32)


@pytest.fixture
def images(make_images: MakeImages) -> Path:
    for name in "abc":
        folder = make_images(f"images/{name}", 5)
    return folder.parent


def saved(backbone: Path, folder: Path, *, head: bool = True) -> torch.Tensor:
    """Save LoRA that peft made on a timm network; returns that network's logits."""
    torch.manual_seed(3)
    plain = timm.create_model(f"local-dir:{backbone}", pretrained=True, num_classes=3)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["qkv"], modules_to_save=["head"] if head else None)
    theirs = peft.get_peft_model(plain, config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter) * parameter.requires_grad)
    theirs.save_pretrained(folder)
    with torch.inference_mode():
        return theirs(PICTURES)


@pytest.mark.slow
def test_an_imported_run_has_the_same_logits_and_can_be_used_as_a_run(
    tiny_backbone: Path, images: Path, tmp_path: Path
) -> None:
    theirs = saved(tiny_backbone, tmp_path / "theirs")
    run = import_peft(tmp_path / "theirs", str(images), str(tiny_backbone), tmp_path / "run").run

    assert Run.open(run.path).labels == ["a", "b", "c"]
    with torch.inference_mode():
        ours = restore.load_trained(run).model.module(PICTURES)
    assert float((ours - theirs).abs().max()) < 1e-5
    assert evaluate(run).images == 3
    assert len(open_classifier(run.path).predict(sorted(images.glob("*/*.png"))[:2])) == 2

    assert export(run, "peft", tmp_path / "again").passed
    again = import_peft(tmp_path / "again", str(images), str(tiny_backbone), tmp_path / "run-again").run
    with torch.inference_mode():
        assert float((restore.load_trained(again).model.module(PICTURES) - theirs).abs().max()) < 1e-5


def test_the_command_imports_and_lists_the_attachments(tiny_backbone: Path, images: Path, tmp_path: Path) -> None:
    saved(tiny_backbone, tmp_path / "theirs")
    asked = [str(tmp_path / "theirs"), "--backbone", str(tiny_backbone), "--data", str(images)]
    done = CliRunner().invoke(import_, [*asked, "--out", str(tmp_path / "run"), "--json"], catch_exceptions=False)
    assert [a["method"] for a in json.loads(done.output)["attachments"]] == ["lora"]
    assert (tmp_path / "run" / "recipe.toml").is_file()


def test_a_folder_that_does_not_fit_is_refused_and_leaves_nothing(
    tiny_backbone: Path, images: Path, make_images: MakeImages, tmp_path: Path
) -> None:
    saved(tiny_backbone, tmp_path / "headless", head=False)
    saved(tiny_backbone, tmp_path / "theirs")
    with pytest.raises(StudioError, match="has no classifier"):
        import_peft(tmp_path / "headless", str(images), str(tiny_backbone), tmp_path / "run")
    make_images("images/d", 5)
    with pytest.raises(StudioError, match="head"):
        import_peft(tmp_path / "theirs", str(images), str(tiny_backbone), tmp_path / "run")
    assert not (tmp_path / "run").exists()
