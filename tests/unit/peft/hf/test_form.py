"""HF peft's form of a plugin's method, given by attributes alone."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from studio.core.errors import StudioError
from studio.core.recipe import Attachment
from studio.peft import METHODS, AdaptedModel, attach
from studio.peft.hf import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME, from_peft, to_peft
from studio.testing.families import build_backbone
from studio.testing.observing import largest_difference, logits

PLUGIN = Path(__file__).parents[4] / "plugins" / "example_method" / "peft_studio_lokr.py"


@pytest.fixture
def lokr(monkeypatch: pytest.MonkeyPatch) -> None:
    """The method of the example plugin, registered for one test."""
    assert METHODS.get("lora")
    spec = importlib.util.spec_from_file_location("peft_studio_lokr", PLUGIN)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    with monkeypatch.context() as patched:
        patched.setattr(METHODS, "register", lambda method: method)
        spec.loader.exec_module(module)
    monkeypatch.setitem(METHODS._items, "lokr", module.LoKr())
    torch.manual_seed(0)


def attached(*attachments: Attachment) -> AdaptedModel:
    model = attach(build_backbone("vit"), attachments)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def site(name: str, at: str, **config: Any) -> Attachment:
    return Attachment(name=name, method="lokr", at=(at,), config=config)


def write(model: AdaptedModel, folder: Path) -> Path:
    made = to_peft(model)
    folder.mkdir()
    (folder / CONFIG_NAME).write_text(json.dumps(made.config))
    save_file(made.tensors, folder / SAFETENSORS_WEIGHTS_NAME, {"format": "pt"})
    return folder


@pytest.mark.usefixtures("lokr")
def test_its_tensors_and_configuration_are_written() -> None:
    model = attached(site("a", "blocks.0.mlp.fc1", factor=4, scale=2.0))
    made = to_peft(model)
    key = "base_model.model.blocks.0.mlp.fc1"
    own = model.state_dict()
    assert torch.equal(made.tensors[f"{key}.lokr_w1"], 2 * own["a/blocks.0.mlp.fc1/C"])
    assert torch.equal(made.tensors[f"{key}.lokr_w2"], own["a/blocks.0.mlp.fc1/B"])
    assert made.config["peft_type"] == "LOKR"
    assert made.config["decompose_factor"] == 4
    assert made.config["target_modules"] == ["blocks.0.mlp.fc1"]
    assert made.config["modules_to_save"] == ["head"]


@pytest.mark.usefixtures("lokr")
@pytest.mark.filterwarnings("ignore")
def test_hf_peft_reads_it(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    model = attached(site("a", "blocks.*.mlp.fc1", factor=4, scale=2.0))
    loaded = peft.PeftModel.from_pretrained(build_backbone("vit"), write(model, tmp_path / "adapter"))
    ours = logits(model.module, "vit")
    assert largest_difference(ours, logits(build_backbone("vit"), "vit")) > 1e-3
    assert largest_difference(ours, logits(loaded.eval(), "vit")) < 1e-5


@pytest.mark.usefixtures("lokr")
def test_several_adapters_in_one_layer_are_rejected() -> None:
    with pytest.raises(StudioError, match=r"several LOKR adapters in blocks\.0\.mlp\.fc1") as raised:
        to_peft(attached(site("a", "blocks.0.mlp.fc1"), site("b", "blocks.0.mlp.fc1")))
    assert raised.value.code == "no-peft-form"


@pytest.mark.usefixtures("lokr")
def test_different_settings_are_rejected() -> None:
    with pytest.raises(StudioError, match="different settings"):
        to_peft(attached(site("a", "blocks.0.mlp.fc1", factor=4), site("b", "blocks.1.mlp.fc1", factor=8)))


@pytest.mark.usefixtures("lokr")
def test_a_form_that_can_only_be_written_is_not_read(tmp_path: Path) -> None:
    folder = write(attached(site("a", "blocks.0.mlp.fc1")), tmp_path / "adapter")
    with pytest.raises(StudioError, match="LOKR can only be exported") as raised:
        from_peft(folder, build_backbone("vit"))
    assert raised.value.code == "unsupported-format"
