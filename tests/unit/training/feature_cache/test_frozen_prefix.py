"""The frozen prefix is computed once for each image, with the same losses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from studio.core import events
from studio.core.control import TrainControl
from studio.core.recipe import Attachment
from studio.core.run import Run
from studio.peft import AdaptedModel, attach
from studio.training import inputs
from studio.training.feature_cache import feature_loader, frozen_prefix
from studio.training.loop import train

LAST_BLOCK: dict[str, Any] = {"at": "blocks.1.attn.qkv"}
HEAD_ALONE: dict[str, Any] = {"lora": False}
TRAINING, VALIDATION, PROBE = 18, 6, 2
FIRST_EPOCH = [("evaluation", 0), ("step", 1), ("step", 2), ("step", 3), ("step", 4)]


@pytest.fixture(autouse=True)
def _nothing_is_kept_between_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.training.trainer.Trainer._cache_key_data", lambda trainer: None)


@pytest.fixture
def images_seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images in every batch that goes through the first block."""
    seen: list[int] = []
    true = inputs.build_inputs

    def counting(attached: AdaptedModel, *rest: Any) -> inputs.TrainInputs:
        attached.module.blocks[0].register_forward_hook(lambda *call: seen.append(len(call[1][0])))  # type: ignore[index]
        return true(attached, *rest)

    monkeypatch.setattr("studio.training.trainer.build_inputs", counting)
    return seen


def _uncached(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(frozen_prefix, "find_split", lambda *_: None)
        list(train(run, TrainControl()))


def _stopped_and_resumed(run: Run, step: int) -> None:
    control = TrainControl()
    for event in train(run, control):
        if event.kind == "step" and event.step == step:  # type: ignore[attr-defined]
            control.stop()
    list(train(run, TrainControl(), resume=True))


def _losses(run: Run) -> list[tuple[str, int, float]]:
    """The loss of every step and evaluation; where one was made twice, the later one."""
    kinds = (events.Step, events.Evaluation)
    return sorted({(e.kind, e.step): e.loss for e in run.events() if isinstance(e, kinds)}.items())  # type: ignore[misc]


@pytest.mark.parametrize("values", [LAST_BLOCK, HEAD_ALONE], ids=["last block", "head alone"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_cached_and_uncached_losses_are_equal(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], precision: str
) -> None:
    cached, uncached = (make_run(name, precision=precision, **values) for name in ("cached", "uncached"))
    list(train(cached, TrainControl()))
    _uncached(uncached, monkeypatch)
    ours, theirs = _losses(cached), _losses(uncached)
    assert [key for key, _ in ours] == [key for key, _ in theirs]
    tolerance = 1e-5 if precision == "float32" else 1e-2
    assert [loss for _, loss in ours] == pytest.approx([loss for _, loss in theirs], rel=tolerance)
    assert [pair for pair in ours if pair[0] in FIRST_EPOCH] == [pair for pair in theirs if pair[0] in FIRST_EPOCH]


@pytest.mark.parametrize("values", [LAST_BLOCK, HEAD_ALONE], ids=["last block", "head alone"])
def test_every_image_goes_through_the_frozen_part_once(
    make_run: Callable[..., Run], images_seen: list[int], values: dict[str, Any]
) -> None:
    list(train(make_run("run", **values), TrainControl()))
    assert sum(images_seen) == 2 * PROBE + TRAINING + VALIDATION


@pytest.mark.parametrize(
    "values",
    [{}, LAST_BLOCK | {"augmentation": "light"}, HEAD_ALONE | {"mixup": 0.4}],
    ids=["all blocks", "augmented", "mixed"],
)
def test_nothing_is_cached_without_a_frozen_prefix_or_with_random_images(
    make_run: Callable[..., Run], images_seen: list[int], values: dict[str, Any]
) -> None:
    list(train(make_run("run", **values), TrainControl()))
    assert sum(images_seen) == 3 * TRAINING + 4 * VALIDATION


MIXED: dict[str, Any] = {"augmentation": "light", "mixup": 0.4, "cutmix": 1.0, "fixed_views": 2, "epochs": 5}


@pytest.mark.parametrize("values", [LAST_BLOCK | MIXED, HEAD_ALONE | MIXED], ids=["last block", "head alone"])
def test_fixed_views_are_cached_and_losses_are_equal(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, images_seen: list[int], values: dict[str, Any]
) -> None:
    cached, uncached = make_run("cached", **values), make_run("uncached", **values)
    list(train(cached, TrainControl()))
    assert sum(images_seen) == 2 * PROBE + 2 * TRAINING + VALIDATION
    _uncached(uncached, monkeypatch)
    ours, theirs = _losses(cached), _losses(uncached)
    assert [key for key, _ in ours] == [key for key, _ in theirs]
    assert [loss for _, loss in ours] == pytest.approx([loss for _, loss in theirs], rel=1e-5)
    assert ours[:2] == theirs[:2]


@pytest.mark.parametrize("step", [2, 6, 11, 17])
@pytest.mark.slow
def test_a_resumed_run_has_the_same_views_bit_for_bit(make_run: Callable[..., Run], step: int) -> None:
    whole, parts = make_run("whole", **LAST_BLOCK | MIXED), make_run("parts", **LAST_BLOCK | MIXED)
    list(train(whole, TrainControl()))
    _stopped_and_resumed(parts, step)
    assert _losses(whole) == _losses(parts)
    assert (whole.path / "adapter.safetensors").read_bytes() == (parts.path / "adapter.safetensors").read_bytes()


@pytest.mark.parametrize("step", [2, 4, 7, 11])
@pytest.mark.parametrize("values", [LAST_BLOCK, HEAD_ALONE], ids=["last block", "head alone"])
@pytest.mark.slow
def test_a_resumed_run_has_the_same_features_bit_for_bit(
    make_run: Callable[..., Run], step: int, values: dict[str, Any]
) -> None:
    whole, parts = make_run("whole", **values), make_run("parts", **values)
    list(train(whole, TrainControl()))
    _stopped_and_resumed(parts, step)
    assert _losses(whole) == _losses(parts)
    assert (whole.path / "adapter.safetensors").read_bytes() == (parts.path / "adapter.safetensors").read_bytes()


@pytest.mark.parametrize(("memory", "share", "times"), [(0, 0.9, 1), (0, 0.0, 3)], ids=["file", "nowhere"])
def test_features_in_a_file_or_nowhere_train_alike(
    make_run: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    images_seen: list[int],
    memory: int,
    share: float,
    times: int,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(tmp_path / "home"))
    usual, other = make_run("usual", **LAST_BLOCK), make_run("other", **LAST_BLOCK)
    list(train(usual, TrainControl()))
    images_seen.clear()
    monkeypatch.setattr(feature_loader, "MAX_MEMORY_BYTES", memory)
    monkeypatch.setattr(feature_loader, "MAX_DISK_FRACTION", share)
    list(train(other, TrainControl()))
    assert [loss for _, loss in _losses(other)] == pytest.approx([loss for _, loss in _losses(usual)], rel=1e-5)
    assert sum(images_seen) == 2 * PROBE + times * TRAINING + (times + (times > 1)) * VALIDATION
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


@pytest.mark.parametrize("values", [LAST_BLOCK, HEAD_ALONE], ids=["last block", "head alone"])
def test_images_that_cannot_be_read_are_left_out_of_their_batches(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, values: dict[str, Any]
) -> None:
    cached, uncached = make_run("cached", **values), make_run("uncached", **values)
    for name in ("a/000", "a/004", "b/003", "c/006"):
        (tmp_path / "images" / f"{name}.png").write_bytes(b"")
    list(train(cached, TrainControl()))
    _uncached(uncached, monkeypatch)
    assert [loss for _, loss in _losses(cached)] == pytest.approx([loss for _, loss in _losses(uncached)], rel=1e-5)
    assert sum("cannot be read" in event.text for event in cached.events() if isinstance(event, events.Warning)) == 4


def _cut(name: str, at: str | None, method: str = "lora", head: bool = True, **args: Any) -> str:
    torch.manual_seed(0)
    module = timm.create_model(name, num_classes=3, **args)
    attachments = [Attachment(name="x", method=method, at=(at,))] if at else []
    cut = frozen_prefix.find_split(attach(module, attachments, head=head), (32, 32))
    return cut.first_trained_layer if cut else ""


VIT: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2}


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (None, "head"),
        ("blocks.2.attn.qkv", "blocks.2"),
        ("blocks.{1..2}.mlp.fc1", "blocks.1"),
        ("blocks.*.attn.proj", ""),
        ("patch_embed.proj", ""),
    ],
)
def test_the_split_of_a_vision_transformer(at: str | None, expected: str) -> None:
    assert _cut("vit_tiny_patch16_224", at, **VIT) == expected


EVA: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2}
BEIT: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2}
SWIN: dict[str, Any] = {"img_size": 32, "patch_size": 4, "window_size": 4, "embed_dim": 8, "depths": (1, 2)}
SWIN |= {"num_heads": (1, 2)}
CONVNEXT: dict[str, Any] = {"depths": (1, 2, 1, 1), "dims": (4, 8, 8, 8)}
FAMILIES = [
    ("eva02_tiny_patch14_224", EVA, "blocks.2.attn.proj", "blocks.2"),
    ("eva02_tiny_patch14_224", EVA, "blocks.*.attn.proj", ""),
    ("vit_small_patch16_rope_mixed_224", EVA, "blocks.1.mlp.fc1", "blocks.1"),
    ("beit_base_patch16_224", BEIT, "blocks.2.mlp.fc1", "blocks.2"),
    ("beit_base_patch16_224", BEIT | {"use_shared_rel_pos_bias": True}, "blocks.1.mlp.fc1", "blocks.1"),
    ("swin_tiny_patch4_window7_224", SWIN, "layers.1.blocks.1.attn.qkv", "layers.1.blocks.1"),
    ("swin_tiny_patch4_window7_224", SWIN, "layers.1.downsample.reduction", "layers.1.downsample"),
    ("swin_tiny_patch4_window7_224", SWIN, "layers.0.blocks.0.mlp.fc1", ""),
    ("swinv2_tiny_window8_256", SWIN, "layers.1.blocks.0.mlp.fc1", "layers.1.blocks.0"),
    ("convnext_atto", CONVNEXT, "stages.1.blocks.1.mlp.fc1", "stages.1.blocks.1"),
    ("resnet10t", {}, "layer4.0.conv1", "layer4.0"),
    ("resnet10t", {}, "layer1.0.conv1", ""),
]


@pytest.mark.parametrize(("name", "args", "at", "expected"), FAMILIES)
def test_the_split_of_other_families(name: str, args: dict[str, Any], at: str, expected: str) -> None:
    assert _cut(name, at, **args) == expected


@pytest.mark.parametrize(("name", "args", "at", "expected"), [row for row in FAMILIES if row[-1]])
def test_both_parts_of_other_families_equal_the_model(name: str, args: dict[str, Any], at: str, expected: str) -> None:
    torch.manual_seed(0)
    module = timm.create_model(name, num_classes=3, **args)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    attached = attach(module, [Attachment(name="x", method="lora", at=(at,))])
    cut = frozen_prefix.find_split(attached, (32, 32))
    assert cut is not None
    for parameter in attached.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    images, attached = torch.randn(3, 3, 32, 32), attached.train()
    whole = attached.module(images)
    features = cut.prefix(images)
    assert not features.requires_grad
    parts = cut.tail(features)
    assert torch.allclose(parts, whole, rtol=1e-4, atol=1e-5)
    ours = torch.autograd.grad(parts.square().sum(), list(attached.parameters()))
    theirs = torch.autograd.grad(whole.square().sum(), list(attached.parameters()))
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in zip(ours, theirs, strict=True))


def test_other_models_are_split_before_their_head_or_not_at_all() -> None:
    assert _cut("resnet10t", None) == "fc"
    assert _cut("efficientnet_lite0", "blocks.5.0.conv_pw") == ""
    assert _cut("convnext_atto", None) == "head.fc"


def test_a_model_that_does_more_than_its_parts_is_not_split(monkeypatch: pytest.MonkeyPatch) -> None:
    module = timm.create_model("vit_tiny_patch16_224", num_classes=3, **VIT)
    torch.nn.init.normal_(module.head.weight)
    attached = attach(module, [], head=True)
    assert frozen_prefix.find_split(attached, (32, 32)) is not None
    monkeypatch.setattr(module, "forward", lambda x: 2 * type(module).forward(module, x))
    assert frozen_prefix.find_split(attached, (32, 32)) is None
