"""Less memory, other orders in memory and compiled code: the losses stay what they were."""

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
from studio.training.backend import memory_format
from studio.training.backend.activation_checkpointing import checkpoint_blocks
from studio.training.compile import CompiledModel
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
def test_computing_blocks_again_gives_the_same_run_bit_for_bit(make_run: Callable[..., Run], at: str) -> None:
    usual, saving = make_run("usual", at=at), make_run("saving", at=at, gradient_checkpointing=True)
    for run in (usual, saving):
        list(train(run, TrainControl()))
    assert _losses(saving) == _losses(usual)
    assert (saving.path / "adapter.safetensors").read_bytes() == (usual.path / "adapter.safetensors").read_bytes()


@pytest.mark.parametrize("method", [m for m in METHODS if m.name != "fusion"], ids=lambda method: method.name)
def test_every_method_bears_it(method: Any) -> None:
    torch.manual_seed(0)
    layers = describe_layers(timm.create_model("vit_tiny_patch16_224", num_classes=3, **VIT))
    attachment = targets.default_attachment(method, layers)
    usual, saving = _vit([attachment]), _vit([attachment])
    checkpoint_blocks(saving)
    images = torch.randn(2, 3, 32, 32)
    for ours, theirs in zip(_step(saving, images), _step(usual, images), strict=True):
        assert torch.equal(ours, theirs)


def _kept_bytes(attached: AdaptedModel, images: torch.Tensor) -> int:
    """What a forward pass leaves in memory for the backward pass."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        logits = attached.module(images)
    assert logits.requires_grad
    return sum(event.self_cpu_memory_usage for event in found.key_averages())


def test_it_needs_much_less_memory() -> None:
    usual, saving = _vit(LORA, depth=8), _vit(LORA, depth=8)
    checkpoint_blocks(saving)
    images = torch.randn(16, 3, 32, 32)
    assert 0 < _kept_bytes(saving, images) < 0.25 * _kept_bytes(usual, images)


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


def _compiling(monkeypatch: pytest.MonkeyPatch, compiler: Any) -> None:
    def compiled(network: Any, parameters: Any, say: Any) -> CompiledModel:
        return CompiledModel(network, parameters, say, compiler)

    monkeypatch.setattr("studio.training.trainer.CompiledModel", compiled)


def test_a_compiled_run_has_the_same_losses(make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced by dynamo and differentiated by AOTAutograd; only the slow last part, making machine code, is left out."""
    usual, compiled = make_run("usual", lora=False), make_run("compiled", lora=False, compile=True)
    calls: list[int] = []

    def compiler(network: Any) -> Any:
        made = torch.compile(network, backend="aot_eager")
        return lambda inputs: calls.append(len(inputs)) or made(inputs)

    _compiling(monkeypatch, compiler)
    for run in (usual, compiled):
        list(train(run, TrainControl()))
    assert calls == [5, *[5, 5, 5, 3] * 3]
    assert _losses(compiled) == pytest.approx(_losses(usual), rel=1e-4)


def test_where_compiling_fails_the_training_goes_on_and_says_so(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, failing = make_run("usual"), make_run("failing", compile=True)

    def fails(inputs: torch.Tensor) -> torch.Tensor:
        torch.rand(1)
        raise RuntimeError("No C++ compiler found.\nand much more")

    _compiling(monkeypatch, lambda network: fails)
    for run in (usual, failing):
        list(train(run, TrainControl()))
    said = [event.text for event in failing.events() if isinstance(event, events.Warning)]
    assert said[1:] == [
        "The backbone cannot be compiled here (No C++ compiler found); the training goes on without, at usual speed."
    ]
    assert _losses(failing) == _losses(usual)
