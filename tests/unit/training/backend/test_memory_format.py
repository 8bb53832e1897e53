"""The memory format: channels_last for convolutional backbones."""

from typing import Any

import timm
import torch

from studio.core.recipe import Attachment
from studio.peft import AdaptedModel, attach
from studio.training.backend import memory_format

VIT: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 4, "num_heads": 2}


LORA = [Attachment(name="x", method="lora", at=("blocks.*.attn.qkv",), config={"dropout": 0.2})]


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


def _convolutional(wanted: str) -> tuple[AdaptedModel, torch.memory_format]:
    torch.manual_seed(0)
    module = timm.create_model("resnet10t", num_classes=3)
    at = ("layer3.0.conv1", "layer4.0.conv1")
    attached = attach(module, [Attachment(name="x", method="lora", at=at)]).train()
    return attached, memory_format.choose_memory_format(attached, wanted)  # type: ignore[arg-type]


def test_channels_last_is_chosen_for_convolutional_backbones_and_gives_the_same() -> None:
    (usual, plain), (fast, order) = _convolutional("off"), _convolutional("auto")
    assert (plain, order) == (torch.contiguous_format, torch.channels_last)
    images = torch.randn(4, 3, 64, 64)
    for ours, theirs in zip(
        _step(fast, memory_format.to_memory_format(images, order)), _step(usual, images), strict=True
    ):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(fast.module.parameters(), usual.module.parameters(), strict=True))
    assert all(parameter.is_contiguous() for parameter in fast.parameters())


def test_channels_last_is_not_chosen_for_transformers_unless_asked_for() -> None:
    assert memory_format.choose_memory_format(_vit(LORA), "auto") is torch.contiguous_format
    assert memory_format.choose_memory_format(_vit(LORA), "on") is torch.channels_last
