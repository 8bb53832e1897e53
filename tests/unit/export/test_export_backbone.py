"""Backbone description of a peft export, from which timm creates the backbone."""

import dataclasses
import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from studio.backbones import loading
from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Backbone
from studio.export import ExportSource, backbone
from studio.export.backbone import rebuild_backbone
from studio.export.peft import PeftExporter
from studio.peft import attach
from tests.unit.export.conftest import MakeSource

QKV = {"name": "lora", "method": "lora", "at": ["blocks.*.attn.qkv"], "slices": ["q", "v"], "rank": 2}


@pytest.fixture
def beit(tmp_path: Path) -> Backbone:
    """A small BEiT as a timm model folder; by default it reads qkv's weight directly, which bypasses an adapter."""
    folder = tmp_path / "beit"
    folder.mkdir()
    args = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    torch.manual_seed(0)
    save_file(
        timm.create_model("beit_base_patch16_224", num_classes=3, **args).state_dict(), folder / "model.safetensors"
    )
    cfg = {"input_size": [3, 32, 32], "classifier": "head", "num_classes": 3}
    config = {"architecture": "beit_base_patch16_224", "num_classes": 3, "model_args": args, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(config))
    return Backbone(name="beit", source="local", weights=str(folder))


def on(backbone: Backbone, source: ExportSource) -> ExportSource:
    """Return the source with the same attachments on another backbone, with random changes."""
    module = loading.load_backbone(backbone, 3)
    attached = attach(module, [Attachment.model_validate(QKV)])
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    recipe = source.recipe.model_copy(update={"backbone": backbone})
    return dataclasses.replace(source, recipe=recipe, model=attached.eval())


def test_hf_peft_on_the_described_backbone_gives_the_same_logits(
    beit: Backbone, make_source: MakeSource, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    source = on(beit, make_source([QKV]))
    written, folder = tmp_path / "peft", tmp_path / "elsewhere"
    written.mkdir()
    PeftExporter().write(source, written)
    written.rename(folder)
    Path(beit.weights).rename(tmp_path / "gone")
    described = json.loads((folder / "backbone.json").read_text())
    assert described["model_name"] == "local-dir:{here}/backbone"
    assert described["arguments"] == {"pretrained": True, "num_classes": 3}
    assert described["attributes"] == {"blocks.0.attn": {"qkv_bias_separate": True}}

    images = torch.linspace(-2, 2, 2 * 3072).view(2, 3, 32, 32)
    with torch.inference_mode():
        live = source.model.module(images)
        loaded = peft.PeftModel.from_pretrained(rebuild_backbone(folder), folder).eval()(images)
        (folder / "backbone.json").write_text(json.dumps(described | {"attributes": {}}))
        bypassed = peft.PeftModel.from_pretrained(rebuild_backbone(folder), folder).eval()(images)
    assert float((loaded - live).abs().max()) < 1e-5
    assert float((bypassed - live).abs().max()) > 1e-3, "the attribute must matter"


def test_a_backbone_of_timm_is_described_by_its_name(make_source: MakeSource, tmp_path: Path) -> None:
    source = make_source([QKV])
    recipe = source.recipe.model_copy(update={"backbone": Backbone(name="vit_small_patch16_224", source="timm")})
    backbone.write_backbone(dataclasses.replace(source, recipe=recipe), ["blocks.0.attn.qkv"], tmp_path)
    described = json.loads((tmp_path / "backbone.json").read_text())
    assert described["model_name"] == "vit_small_patch16_224"
    assert described["arguments"] == {"pretrained": True, "num_classes": 3}
    assert not (tmp_path / "backbone").exists()


def test_a_backbone_of_random_weights_is_refused(make_source: MakeSource, tmp_path: Path) -> None:
    source = make_source([QKV])
    changed = source.recipe.backbone.model_copy(update={"pretrained": False})
    random = dataclasses.replace(source, recipe=source.recipe.model_copy(update={"backbone": changed}))
    with pytest.raises(StudioError) as raised:
        PeftExporter().write(random, tmp_path)
    assert raised.value.code == "unsupported-format"
