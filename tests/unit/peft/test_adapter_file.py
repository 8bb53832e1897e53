"""The adapter on disk includes the head, trained or frozen."""

import json
from pathlib import Path

import pytest
import torch

from studio.app.inspection import Inspector
from studio.backbones.loading import load_backbone, weights_digest
from studio.core.errors import StudioError
from studio.core.recipe import Backbone
from studio.peft import Attachment, attach
from studio.peft.adapter_file import TENSORS_NAME, load_adapter, save_adapter
from studio.peft.contract import METHODS
from studio.peft.target_builder import build_attachments
from studio.testing.families import build_backbone, random_images

LORA = Attachment(name="lora", method="lora", at=("**.qkv",))


@pytest.mark.parametrize("trains", [True, False])
@torch.no_grad()
def test_the_head_travels_with_the_adapter(tmp_path: Path, trains: bool) -> None:
    module = build_backbone("vit")
    origin, head = weights_digest(module), module.head.weight
    torch.nn.init.normal_(head)
    attached = attach(module, [LORA], head=trains)
    for parameter in attached.parameters():
        torch.nn.init.normal_(parameter)
    save_adapter(attached, [LORA], tmp_path, origin, {})
    answer = module(random_images("vit"))
    fresh = build_backbone("vit")
    torch.nn.init.normal_(fresh.head.weight)
    loaded = load_adapter(fresh, tmp_path)
    assert torch.equal(loaded.module(random_images("vit")), answer)
    assert any(name.startswith("head/") for name, _ in loaded.named_parameters()) is trains


def test_an_adapter_with_a_frozen_head_does_not_fit_a_head_of_another_size(tmp_path: Path) -> None:
    module = build_backbone("vit")
    origin = weights_digest(module)
    save_adapter(attach(module, [LORA], head=False), [LORA], tmp_path, origin, {})
    other = build_backbone("vit")
    other.reset_classifier(7)
    with pytest.raises(StudioError, match="head/head/weight"):
        load_adapter(other, tmp_path)


def test_an_adapter_of_a_later_format_is_refused(tmp_path: Path) -> None:
    module = build_backbone("vit")
    origin = weights_digest(module)
    save_adapter(attach(module, [LORA]), [LORA], tmp_path, origin, {})
    path = tmp_path / "studio_adapter.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(StudioError, match="format"):
        load_adapter(build_backbone("vit"), tmp_path)


@pytest.mark.parametrize("trains", [True, False])
@pytest.mark.parametrize("method", [m.name for m in METHODS if m.name != "fusion"])
def test_the_size_that_is_told_beforehand_is_that_of_the_file(tmp_path: Path, method: str, trains: bool) -> None:
    backbone = Backbone()
    inspector = Inspector(backbone, 10)
    config = {"reparameterize": True} if method == "prefix" else {}
    one = build_attachments(METHODS.get(method), inspector.layers, [("", None)], config=config)
    told = inspector.parameter_counts(one, head=trains).adapter_bytes
    attached = attach(load_backbone(backbone, 10), one, head=trains)
    settled = attached.finalize(one)
    save_adapter(attached, settled, tmp_path, "", {})
    assert (tmp_path / TENSORS_NAME).stat().st_size == told
