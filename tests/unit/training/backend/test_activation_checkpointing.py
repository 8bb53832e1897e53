"""Gradient checkpointing: less memory, the same gradients."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch.profiler import ProfilerActivity, profile

from studio.backbones.layer_roles import describe_layers
from studio.core import events
from studio.core.control import TrainControl
from studio.core.recipe import Attachment
from studio.core.run import Run
from studio.peft import AdaptedModel, attach, targets
from studio.peft.contract import METHODS
from studio.training.backend.activation_checkpointing import checkpoint_blocks
from studio.training.loop import train

VIT: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 4, "num_heads": 2}


LORA = [Attachment(name="x", method="lora", at=("blocks.*.attn.qkv",), config={"dropout": 0.2})]


def _losses(run: Run) -> list[float]:
    return [event.loss for event in run.events() if isinstance(event, events.Step | events.Evaluation)]


def _vit(attachments: list[Attachment], **args: Any) -> AdaptedModel:
    torch.manual_seed(0)
    module = timm.create_model("vit_tiny_patch16_224", num_classes=3, **VIT | args)
    return attach(module, attachments).train()


def _step(attached: AdaptedModel, images: torch.Tensor) -> list[torch.Tensor]:
    """The loss and all gradients."""
    torch.manual_seed(1)
    loss = attached.module(images).square().mean()
    loss.backward()
    return [loss.detach(), *(p.grad for p in attached.parameters() if p.grad is not None)]


@pytest.mark.parametrize("at", ["blocks.*.attn.qkv", "blocks.1.attn.qkv"], ids=["all blocks", "cached"])
def test_gradient_checkpointing_gives_the_same_run_bit_for_bit(make_run: Callable[..., Run], at: str) -> None:
    usual, saving = make_run("usual", at=at), make_run("saving", at=at, gradient_checkpointing=True)
    for run in (usual, saving):
        list(train(run, TrainControl()))
    assert _losses(saving) == _losses(usual)
    assert (saving.path / "adapter.safetensors").read_bytes() == (usual.path / "adapter.safetensors").read_bytes()


@pytest.mark.parametrize("method", [m for m in METHODS if m.name != "fusion"], ids=lambda method: method.name)
def test_every_method_works_with_gradient_checkpointing(method: Any) -> None:
    torch.manual_seed(0)
    layers = describe_layers(timm.create_model("vit_tiny_patch16_224", num_classes=3, **VIT))
    attachment = targets.default_attachment(method, layers)
    usual, saving = _vit([attachment]), _vit([attachment])
    checkpoint_blocks(saving)
    images = torch.randn(2, 3, 32, 32)
    for ours, theirs in zip(_step(saving, images), _step(usual, images), strict=True):
        assert torch.equal(ours, theirs)


def _kept_bytes(attached: AdaptedModel, images: torch.Tensor) -> int:
    """Return the memory that a forward pass keeps for the backward pass."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        logits = attached.module(images)
    assert logits.requires_grad
    return sum(event.self_cpu_memory_usage for event in found.key_averages())


def test_gradient_checkpointing_needs_much_less_memory() -> None:
    usual, saving = _vit(LORA, depth=8), _vit(LORA, depth=8)
    checkpoint_blocks(saving)
    images = torch.randn(16, 3, 32, 32)
    assert 0 < _kept_bytes(saving, images) < 0.25 * _kept_bytes(usual, images)
