"""Adapter sets: each adapter has the same output as alone, and the backbone is unchanged."""

import json
import time
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from studio.backbones.loading import weights_digest
from studio.core.errors import StudioError
from studio.core.recipe import Attachment
from studio.peft import attach
from studio.peft.adapter_file import load_adapter, save_adapter
from studio.peft.multi_adapter import AdapterSet

QKV = Attachment(name="low", method="lora", at=("blocks.*.attn.qkv",), slices=("q", "v"), config={"rank": 2})
NORMS = Attachment(name="norms", method="norm_tuning", at=("**",))
PROMPTS = Attachment(name="prompts", method="vpt_shallow", at=("",))
BOTTLENECK = Attachment(name="narrow", method="pfeiffer", at=("blocks.*.mlp",), config={"bottleneck": 2})
TASKS = {
    "birds": ((QKV,), 3),
    "cars": ((BOTTLENECK, QKV), 4),
    "dogs": ((NORMS, PROMPTS), 2),
    "eels": ((), 5),
}


def backbone(**changes: int) -> nn.Module:
    torch.manual_seed(0)
    size = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 7}
    return timm.create_model("vit_tiny_patch16_224", **size | changes).eval()


def trained(folder: Path, attachments: tuple[Attachment, ...], classes: int, *, head: bool = True) -> Path:
    """An adapter folder with tensors of its own on :func:`backbone`."""
    module = backbone()
    base = weights_digest(module)
    module.reset_classifier(classes)
    attached = attach(module, attachments, head=head)
    with torch.no_grad():
        for tensor in attached.state_dict().values():
            tensor.add_(torch.randn_like(tensor), alpha=0.3)
    folder.mkdir()
    save_adapter(attached, attachments, folder, base, {"labels": [f"{folder.name} {i}" for i in range(classes)]})
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    return {name: trained(tmp_path / name, *task) for name, task in TASKS.items()}


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def alone(folder: Path, classes: int, images: Tensor) -> Tensor:
    module = backbone()
    module.reset_classifier(classes)
    return load_adapter(module, folder).module(images)


@torch.no_grad()
def test_each_adapter_answers_as_it_does_alone_in_any_order(folders: dict[str, Path], images: Tensor) -> None:
    module = backbone()
    bare, tree, tensors = module(images), str(module), dict(module.state_dict(keep_vars=True))
    before = {name: (t.data_ptr(), t.detach().clone()) for name, t in tensors.items()}
    pack = AdapterSet(module)
    for name, folder in folders.items():
        assert pack.add(name, folder).labels[0] == f"{name} 0"
        assert pack.active is None
        assert torch.equal(module(images), bare)

    for name in ("cars", "birds", "dogs", "cars", "eels", "dogs", "birds", "birds"):
        pack.activate(name)
        assert module.num_classes == TASKS[name][1]
        assert torch.equal(module(images), alone(folders[name], TASKS[name][1], images)), name
    pack.deactivate()
    assert torch.equal(module(images), bare)

    assert str(module) == tree
    assert module.num_classes == 7
    after = module.state_dict(keep_vars=True)
    assert list(after) == list(before)
    for name, (place, value) in before.items():
        assert after[name].data_ptr() == place
        assert torch.equal(after[name], value)


@torch.no_grad()
def test_one_that_is_added_or_removed_leaves_the_active_one(folders: dict[str, Path], images: Tensor) -> None:
    pack = AdapterSet(backbone())
    pack.add("birds", folders["birds"])
    pack.activate("birds")
    answer = pack.module(images)
    pack.add("cars", folders["cars"])
    assert torch.equal(pack.module(images), answer)
    pack.remove("cars")
    assert [member.name for member in pack] == ["birds"]
    assert torch.equal(pack.module(images), answer)
    pack.remove("birds")
    assert pack.active is None
    assert torch.equal(pack.module(images), backbone()(images))


@torch.no_grad()
def test_what_cannot_be_added_is_refused_and_changes_nothing(
    folders: dict[str, Path], images: Tensor, tmp_path: Path
) -> None:
    pack = AdapterSet(backbone())
    pack.add("birds", folders["birds"])
    pack.activate("birds")
    answer = pack.module(images)
    with pytest.raises(StudioError, match="'birds' is already in use"):
        pack.add("birds", folders["cars"])
    path = folders["cars"] / "studio_adapter.json"
    written = json.loads(path.read_text())
    path.write_text(json.dumps(written | {"metadata": {}}))
    with pytest.raises(StudioError, match="does not name its classes"):
        pack.add("cars", folders["cars"])
    path.write_text(json.dumps(written | {"metadata": {"labels": ["one", "two"]}}))
    with pytest.raises(StudioError, match="this backbone needs"):
        pack.add("cars", folders["cars"])
    path.write_text(json.dumps(written | {"backbone_identity": "0" * 64}))
    with pytest.raises(StudioError, match="another backbone"):
        pack.add("cars", folders["cars"])
    with pytest.raises(StudioError, match=r"no adapter 'cars'\. Available adapters: birds"):
        pack.activate("cars")
    assert torch.equal(pack.module(images), answer)
    with pytest.raises(StudioError, match="not a timm model"):
        AdapterSet(nn.Linear(2, 2))


def test_an_attachment_that_is_switched_off_stays_off(folders: dict[str, Path], images: Tensor) -> None:
    pack = AdapterSet(backbone())
    member = pack.add("cars", folders["cars"])
    pack.add("birds", folders["birds"])
    pack.activate("cars")
    whole = pack.module(images)
    member.attached.set_enabled("narrow", enabled=False)
    part = pack.module(images)
    assert not torch.equal(part, whole)
    pack.activate("birds")
    pack.activate("cars")
    assert torch.equal(pack.module(images), part)


def test_activating_on_a_large_backbone_takes_less_than_50_ms(tmp_path: Path) -> None:
    """As deep as ViT-B and as many layers in the tree; the width costs nothing, because no tensor is copied."""
    module = backbone(depth=12)
    base = weights_digest(module)
    pack = AdapterSet(module)
    for name, (attachments, classes) in TASKS.items():
        twin = backbone(depth=12)
        twin.reset_classifier(classes)
        folder = tmp_path / name
        folder.mkdir()
        save_adapter(attach(twin, attachments), attachments, folder, base, {"labels": [str(i) for i in range(classes)]})
        pack.add(name, folder)
    times = []
    for name in (*TASKS, *TASKS):
        begun = time.perf_counter()
        pack.activate(name)
        times.append(time.perf_counter() - begun)
    assert min(times) > 0
    assert sorted(times)[len(times) // 2] < 0.05
