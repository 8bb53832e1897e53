"""(IA)^3 and SSF against the formulas of their papers, written out."""

from collections.abc import Iterator
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from studio.core.errors import StudioError
from studio.core.recipe import Attachment
from studio.peft import METHODS, AdaptedModel, attach
from studio.peft.targets import default_attachment
from studio.testing.families import backbone_layers, build_backbone, random_images

QKV = "blocks.0.attn.qkv"
WIDTH = 32


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def site(method: str, *at: str, name: str = "a", slices: tuple[str, ...] = (), **config: Any) -> Attachment:
    return Attachment(name=name, method=method, at=at, slices=slices, config=config)


@torch.no_grad()
def moved(attached: AdaptedModel) -> AdaptedModel:
    for parameter in attached.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return attached


def tensor(attached: AdaptedModel, path: str, name: str = "scale") -> Tensor:
    return attached.state_dict()[f"a/{path}/{name}"]


def adapted(attached: AdaptedModel, path: str) -> nn.Module:
    return attached.module.get_submodule(path)


@pytest.mark.parametrize(("method", "count"), [("ia3", 55_296), ("ssf", 205_824)])
def test_counts_on_vit_b(method: str, count: int) -> None:
    with torch.device("meta"):
        module = timm.create_model("vit_base_patch16_224", num_classes=0)
    from studio.backbones.layer_roles import describe_layers

    attached = attach(module, [default_attachment(METHODS.get(method), describe_layers(module))])
    assert attached.parameter_counts().attachments[0].parameters == count


@torch.no_grad()
def test_ia3_scales_keys_and_values() -> None:
    attached = moved(attach(build_backbone("vit"), [site("ia3", QKV, slices=("k", "v"))]))
    layer, x = adapted(attached, QKV), torch.randn(2, 5, WIDTH)
    q, k, v = layer.unwrapped(x).chunk(3, dim=-1)
    l_k, l_v = tensor(attached, QKV).chunk(2)
    torch.testing.assert_close(layer(x), torch.cat([q, l_k * k, l_v * v], dim=-1))


@torch.no_grad()
def test_ia3_scales_the_hidden_features_of_an_mlp() -> None:
    attached = moved(attach(build_backbone("vit"), [site("ia3", "blocks.0.mlp.fc2")]))
    mlp, x = attached.module.blocks[0].mlp, torch.randn(2, 5, WIDTH)
    hidden = tensor(attached, "blocks.0.mlp.fc2") * F.gelu(mlp.fc1(x))
    torch.testing.assert_close(mlp(x), mlp.fc2.unwrapped(hidden))


@pytest.mark.parametrize("family", ["beit", "eva02-fused", "swinv2"])
@torch.no_grad()
def test_ia3_scales_the_bias_that_the_attention_adds(family: str) -> None:
    """v' = l_v (W_v x + b_v), though the layer itself has no bias; and merging leaves it in the attention."""
    module = build_backbone(family)
    path = next(layer.path for layer in backbone_layers(family) if layer.name == "qkv")
    attention = module.get_submodule(path.rpartition(".")[0])
    attached = moved(attach(module, [site("ia3", path, slices=("k", "v"))]))
    width = attention.v_bias.numel()
    x = torch.randn(2, 16, attention.qkv.unwrapped.in_features)
    q, k, v = attention.qkv.unwrapped(x).chunk(3, dim=-1)
    l_k, l_v = tensor(attached, path).chunk(2)
    added = torch.cat([attention.q_bias, torch.zeros(width), attention.v_bias])
    expected = torch.cat([q + attention.q_bias, l_k * k, l_v * (v + attention.v_bias)], dim=-1)
    torch.testing.assert_close(attention.qkv(x) + added, expected)
    merged = attached.merge()
    torch.testing.assert_close(merged.get_submodule(path.rpartition(".")[0]).v_bias, l_v * attention.v_bias)
    assert list(merged.state_dict()) == list(build_backbone(family).state_dict())
    torch.testing.assert_close(merged(random_images(family)), module(random_images(family)), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_ia3_can_leave_that_bias_alone() -> None:
    attached = moved(attach(build_backbone("beit"), [site("ia3", "**.qkv", slices=("v",), outer_bias=False)]))
    merged = attached.merge()
    assert torch.equal(merged.blocks[0].attn.v_bias, attached.module.blocks[0].attn.v_bias)
    torch.testing.assert_close(
        merged(random_images("beit")), attached.module(random_images("beit")), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("scales", ["input", "output"])
@torch.no_grad()
def test_ia3_on_a_convolution(scales: str, groups: int) -> None:
    module = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1, groups=groups))
    attached = moved(attach(module, [site("ia3", "0", scales=scales)], head=False))
    x, scale = torch.randn(2, 8, 6, 6), tensor(attached, "0").view(-1, 1, 1)
    expected = module[0].unwrapped(scale * x) if scales == "input" else scale * module[0].unwrapped(x)
    torch.testing.assert_close(module(x), expected)
    torch.testing.assert_close(attached.merge()(x), expected, rtol=1e-4, atol=1e-5)


def test_slices_of_an_input_are_refused() -> None:
    with pytest.raises(StudioError, match="slices need scales = output"):
        attach(build_backbone("vit"), [site("ia3", QKV, slices=("k",), scales="input")])


@torch.no_grad()
def test_ssf_scales_and_shifts_every_output() -> None:
    attached = moved(attach(build_backbone("vit"), [default_attachment(METHODS.get("ssf"), backbone_layers("vit"))]))
    block, x = attached.module.blocks[0], torch.randn(2, 5, WIDTH)
    for path in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1"):
        layer, full = block.get_submodule(path), f"blocks.0.{path}"
        gamma = attached.state_dict()[f"ssf/{full}/scale"]
        beta = attached.state_dict()[f"ssf/{full}/shift"]
        torch.testing.assert_close(layer(x), gamma * layer.unwrapped(x) + beta)


@torch.no_grad()
def test_ssf_acts_before_the_activation_of_a_norm() -> None:
    norm = timm.layers.BatchNormAct2d(6).eval()
    norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)
    module = nn.Sequential(norm)
    attached = moved(attach(module, [site("ssf", "0")], head=False))
    x = torch.randn(2, 6, 4, 4)
    plain = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    gamma, beta = (tensor(attached, "0", name).view(-1, 1, 1) for name in ("scale", "shift"))
    torch.testing.assert_close(module(x), F.relu(gamma * plain + beta))


@torch.no_grad()
def test_ssf_begins_as_in_the_paper_or_at_the_identity() -> None:
    attached = attach(build_backbone("vit"), [site("ssf", "**.fc1", "**.qkv")], head=False)
    scales = torch.cat([t for name, t in attached.state_dict().items() if name.endswith("scale")])
    assert scales.mean().item() == pytest.approx(1, abs=0.01)
    assert scales.std().item() == pytest.approx(0.02, rel=0.2)
    module = build_backbone("vit")
    before = module(random_images("vit"))
    attach(module, [site("ssf", "**", init="identity")], head=False)
    assert torch.equal(module(random_images("vit")), before)


def test_a_shift_without_a_bias_to_merge_into_is_refused() -> None:
    with pytest.raises(StudioError, match="no bias that a shift could be merged into"):
        attach(build_backbone("beit"), [site("ssf", "**.qkv")])
    with pytest.raises(StudioError, match="no bias"):
        attach(build_backbone("resnet"), [site("ssf", "layer1.0.conv1")])


@torch.no_grad()
def test_a_scale_alone_goes_where_there_is_no_bias() -> None:
    attached = moved(attach(build_backbone("beit"), [site("ssf", "**.qkv", shift=False)]))
    torch.testing.assert_close(
        attached.merge()(random_images("beit")), attached.module(random_images("beit")), rtol=1e-4, atol=1e-5
    )


@torch.no_grad()
def test_scales_stack_on_updates_and_on_each_other() -> None:
    stack = [
        site("lora", "**.qkv", "**.fc2", name="l"),
        site("ia3", "**.qkv", "**.fc2", name="i", slices=("k", "v")),
        site("ssf", "**", name="s"),
        site("ssf", "**.norm1", name="t"),
        site("norm_tuning", "**.norm1", name="n"),
    ]
    attached = moved(attach(build_backbone("vit"), stack))
    torch.testing.assert_close(
        attached.merge()(random_images("vit")), attached.module(random_images("vit")), rtol=1e-4, atol=1e-5
    )
    attached.set_enabled("s", False)
    torch.testing.assert_close(
        attached.merge()(random_images("vit")), attached.module(random_images("vit")), rtol=1e-4, atol=1e-5
    )
