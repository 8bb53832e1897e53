"""What a peft export adds to HF peft's own two files: how timm makes the backbone that they go onto."""

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
from tests.unit.export.conftest import MakeSubject

QKV = {"name": "lora", "method": "lora", "at": ["blocks.*.attn.qkv"], "slices": ["q", "v"], "rank": 2}


@pytest.fixture
def beit(tmp_path: Path) -> Backbone:
    """A small BEiT as a timm model folder: it reads the weight of qkv past an adapter unless it is told not to."""
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


def on(backbone: Backbone, subject: ExportSource) -> ExportSource:
    """The subject with the same attachments on another backbone, moved away from where they begin."""
    module = loading.load_backbone(backbone, 3)
    attached = attach(module, [Attachment.model_validate(QKV)])
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    recipe = subject.recipe.model_copy(update={"backbone": backbone})
    return dataclasses.replace(subject, recipe=recipe, model=attached.eval())


def test_hf_peft_on_the_backbone_that_the_folder_describes_gives_the_same_logits(
    beit: Backbone, make_subject: MakeSubject, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    subject = on(beit, make_subject([QKV]))
    written, folder = tmp_path / "peft", tmp_path / "elsewhere"
    written.mkdir()
    PeftExporter().write(subject, written)
    written.rename(folder)
    Path(beit.weights).rename(tmp_path / "gone")
    described = json.loads((folder / "backbone.json").read_text())
    assert described["model_name"] == "local-dir:{here}/backbone"
    assert described["arguments"] == {"pretrained": True, "num_classes": 3}
    assert described["attributes"] == {"blocks.0.attn": {"qkv_bias_separate": True}}

    images = torch.linspace(-2, 2, 2 * 3072).view(2, 3, 32, 32)
    with torch.inference_mode():
        live = subject.model.module(images)
        loaded = peft.PeftModel.from_pretrained(rebuild_backbone(folder), folder).eval()(images)
        (folder / "backbone.json").write_text(json.dumps(described | {"attributes": {}}))
        bypassed = peft.PeftModel.from_pretrained(rebuild_backbone(folder), folder).eval()(images)
    assert float((loaded - live).abs().max()) < 1e-5
    assert float((bypassed - live).abs().max()) > 1e-3, "the attribute must matter"


def test_a_timm_backbone_is_named_as_timm_names_it(make_subject: MakeSubject, tmp_path: Path) -> None:
    subject = make_subject([QKV])
    recipe = subject.recipe.model_copy(update={"backbone": Backbone(name="vit_small_patch16_224", source="timm")})
    backbone.write_backbone(dataclasses.replace(subject, recipe=recipe), ["blocks.0.attn.qkv"], tmp_path)
    described = json.loads((tmp_path / "backbone.json").read_text())
    assert described["model_name"] == "vit_small_patch16_224"
    assert described["arguments"] == {"pretrained": True, "num_classes": 3}
    assert not (tmp_path / "backbone").exists()


def test_random_weights_are_refused_because_nobody_else_has_them(make_subject: MakeSubject, tmp_path: Path) -> None:
    subject = make_subject([QKV])
    changed = subject.recipe.backbone.model_copy(update={"pretrained": False})
    random = dataclasses.replace(subject, recipe=subject.recipe.model_copy(update={"backbone": changed}))
    with pytest.raises(StudioError, match="random weights"):
        PeftExporter().write(random, tmp_path)
