"""LoRA, rsLoRA, DoRA and PiSSA against the formulas of their papers, written out."""

import math
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
from studio.peft.methods.dora import weight_norm
from studio.peft.methods.pissa import principal_factors
from studio.testing.families import build_backbone, build_on_meta, random_images

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


def tensors(attached: AdaptedModel, path: str, name: str = "a") -> dict[str, Tensor]:
    prefix = f"{name}/{path}/"
    return {k.removeprefix(prefix): t for k, t in attached.state_dict().items() if k.startswith(prefix)}


def adapted(attached: AdaptedModel, path: str) -> nn.Module:
    return attached.module.get_submodule(path)


@torch.no_grad()
def test_lora_is_w_plus_b_a() -> None:
    attached = moved(attach(build_backbone("vit"), [site("lora", QKV, rank=4, alpha=6)]))
    layer, own, x = adapted(attached, QKV), tensors(attached, QKV), torch.randn(2, 5, WIDTH)
    weight = layer.unwrapped.weight + 6 / 4 * own["lora_B"] @ own["lora_A"]
    torch.testing.assert_close(layer(x), F.linear(x, weight, layer.unwrapped.bias))


@torch.no_grad()
def test_rslora_divides_by_the_root_of_the_rank() -> None:
    attached = moved(attach(build_backbone("vit"), [site("rslora", QKV, rank=4, alpha=6)]))
    layer, own, x = adapted(attached, QKV), tensors(attached, QKV), torch.randn(2, 5, WIDTH)
    weight = layer.unwrapped.weight + 6 / math.sqrt(4) * own["lora_B"] @ own["lora_A"]
    torch.testing.assert_close(layer(x), F.linear(x, weight, layer.unwrapped.bias))


@torch.no_grad()
def test_slices_have_an_a_and_a_b_of_their_own() -> None:
    attached = moved(attach(build_backbone("vit"), [site("lora", QKV, slices=("q", "v"), rank=2, alpha=3)]))
    layer, own, x = adapted(attached, QKV), tensors(attached, QKV), torch.randn(2, 5, WIDTH)
    weight = layer.unwrapped.weight.clone()
    weight[:WIDTH] += 3 / 2 * own["lora_B"][:WIDTH] @ own["lora_A"][:2]
    weight[2 * WIDTH :] += 3 / 2 * own["lora_B"][WIDTH:] @ own["lora_A"][2:]
    torch.testing.assert_close(layer(x), F.linear(x, weight, layer.unwrapped.bias))


@pytest.mark.parametrize(
    "geometry",
    [
        {},
        {"stride": 2, "padding": 1},
        {"dilation": 2, "padding": 2},
        {"padding": 1, "padding_mode": "reflect"},
        {"groups": 2},
    ],
)
@pytest.mark.parametrize("method", ["lora", "dora"])
@torch.no_grad()
def test_a_convolution_keeps_its_geometry(method: str, geometry: dict[str, Any]) -> None:
    """The update acts as if it were added to the kernel."""
    module = nn.Sequential(nn.Conv2d(8, 12, 3, **geometry))
    attached = moved(attach(module, [site(method, "0", rank=4)], head=False))
    x = torch.randn(2, 8, 9, 9)
    torch.testing.assert_close(attached.merge()(x), module(x), rtol=1e-4, atol=1e-5)
    groups = geometry.get("groups", 1)
    own = tensors(attached, "0")
    pairs = zip(own["lora_B"].flatten(1).chunk(groups), own["lora_A"].chunk(groups), strict=True)
    kernel = module[0].unwrapped.weight + 2 * torch.cat([torch.einsum("or,rihw->oihw", b, a) for b, a in pairs])
    if method == "dora":
        kernel *= (own["magnitude"] / kernel.flatten(1).norm(dim=1)).view(-1, 1, 1, 1)
    plain = nn.Conv2d(8, 12, 3, **geometry)
    plain.weight, plain.bias = nn.Parameter(kernel), module[0].unwrapped.bias
    torch.testing.assert_close(module(x), plain(x), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_dora_turns_and_stretches_rows() -> None:
    attached = moved(attach(build_backbone("vit"), [site("dora", QKV, rank=4, alpha=6)]))
    layer, own, x = adapted(attached, QKV), tensors(attached, QKV), torch.randn(2, 5, WIDTH)
    turned = layer.unwrapped.weight + 6 / 4 * own["lora_B"] @ own["lora_A"]
    weight = own["magnitude"].unsqueeze(1) * turned / turned.norm(dim=1, keepdim=True)
    torch.testing.assert_close(layer(x), F.linear(x, weight, layer.unwrapped.bias))


def test_dora_holds_the_norm_constant_in_the_backward_pass() -> None:
    attached = moved(attach(build_backbone("vit"), [site("dora", QKV, rank=4)]))
    layer, x = adapted(attached, QKV), torch.randn(2, 5, WIDTH)
    layer(x).square().sum().backward()
    own = {name: t.clone().requires_grad_() for name, t in tensors(attached, QKV).items()}
    turned = layer.unwrapped.weight + 2 * own["lora_B"] @ own["lora_A"]
    weight = own["magnitude"].unsqueeze(1) * turned / turned.norm(dim=1, keepdim=True).detach()
    F.linear(x, weight, layer.unwrapped.bias).square().sum().backward()
    for name, tensor in own.items():
        torch.testing.assert_close(getattr(layer, name).grad, tensor.grad, rtol=1e-4, atol=1e-4)


def test_the_cheap_norm_is_the_norm() -> None:
    weight, a, b = torch.randn(2, 7, 9), torch.randn(2, 3, 9), torch.randn(2, 7, 3)
    expected = (weight + 0.7 * b @ a).norm(dim=-1).flatten()
    torch.testing.assert_close(weight_norm(weight, a, b, 0.7), expected)


def test_the_cheap_norm_never_builds_the_product() -> None:
    """Nothing that it makes is as large as the weight."""
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            made = function(*args, **(kwargs or {}))
            largest = max(largest, made.numel())
            return made

    weight, a, b = torch.randn(1, 300, 200), torch.randn(1, 4, 200), torch.randn(1, 300, 4)
    with Watch():
        weight_norm(weight, a, b, 1.0)
    assert largest <= 300 * 4


@torch.no_grad()
def test_dora_stands_on_other_updates() -> None:
    """The length is that of the weight with the updates under it."""
    stack = [site("lora", QKV, rank=2), site("dora", QKV, name="b", rank=3), site("lora", QKV, name="c", rank=2)]
    module = build_backbone("vit")
    before = module(random_images("vit"))
    attached = attach(module, stack, head=False)
    assert torch.equal(module(random_images("vit")), before)
    moved(attached)
    torch.testing.assert_close(
        attached.merge()(random_images("vit")), module(random_images("vit")), rtol=1e-4, atol=1e-5
    )


def test_dora_over_a_scale_is_refused() -> None:
    with pytest.raises(StudioError, match="Move DoRA before it"):
        attach(build_backbone("vit"), [site("ia3", QKV, slices=("k", "v")), site("dora", QKV, name="b", slices=("v",))])
    attach(build_backbone("vit"), [site("ia3", QKV, slices=("k", "v")), site("dora", QKV, name="b", slices=("q",))])


@torch.no_grad()
def test_pissa_is_the_residual_plus_b_a() -> None:
    attached = attach(build_backbone("vit"), [site("pissa", QKV, rank=4, alpha=6)])
    layer, x = adapted(attached, QKV), torch.randn(2, 5, WIDTH)
    u, s, vh = torch.linalg.svd(layer.unwrapped.weight)
    residual = u[:, 4 : len(s)] * s[4:] @ vh[4:]
    moved(attached)
    own = tensors(attached, QKV)
    weight = residual + 6 / 4 * own["lora_B"] @ own["lora_A"]
    torch.testing.assert_close(layer(x), F.linear(x, weight, layer.unwrapped.bias), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("iterations", [0, 8])
def test_pissa_begins_at_the_principal_part(iterations: int) -> None:
    weight = torch.randn(12, 20)
    a, b = principal_factors(weight, 3, 2.0, iterations)
    u, s, vh = torch.linalg.svd(weight, full_matrices=False)
    torch.testing.assert_close(2 * b @ a, u[:, :3] * s[:3] @ vh[:3], rtol=1e-2, atol=1e-2)


def test_pissa_decomposes_slices_one_by_one() -> None:
    attached = attach(build_backbone("vit"), [site("pissa", QKV, slices=("k", "v"), rank=3)])
    own, weight = tensors(attached, QKV), adapted(attached, QKV).unwrapped.weight
    a, b = principal_factors(weight[WIDTH : 2 * WIDTH].detach(), 3, 8 / 3, 0)
    torch.testing.assert_close(own["lora_B"][:WIDTH] @ own["lora_A"][:3], b @ a)


@pytest.mark.parametrize("method", ["lora", "rslora", "dora", "pissa"])
@pytest.mark.parametrize("slices", [(), ("v",)])
def test_nothing_changes_at_first_bit_for_bit(method: str, slices: tuple[str, ...]) -> None:
    module = build_backbone("vit")
    before = module(random_images("vit"))
    attach(module, [site(method, "**.qkv", slices=slices)], head=False)
    assert torch.equal(module(random_images("vit")), before)


@pytest.mark.parametrize(
    ("method", "at", "slices", "count"),
    [
        ("lora", ("**.qkv",), ("q", "v"), 294_912),
        ("lora", ("**.qkv",), (), 294_912),
        ("rslora", ("**.qkv",), ("q", "v"), 294_912),
        ("pissa", ("**.qkv",), ("q", "v"), 294_912),
        ("lora", ("**.qkv", "**.attn.proj", "**.fc1", "**.fc2"), (), 294_912 + 12 * 8 * (2 * 768 + 2 * 5 * 768)),
        ("dora", ("**.qkv",), (), 294_912 + 12 * 2_304),
        ("dora", ("**.qkv",), ("q", "v"), 294_912 + 12 * 1_536),
    ],
)
def test_counts_on_vit_b(method: str, at: tuple[str, ...], slices: tuple[str, ...], count: int) -> None:
    with torch.device("meta"):
        module = timm.create_model("vit_base_patch16_224", num_classes=0)
    attached = attach(module, [site(method, *at, slices=slices)])
    assert attached.parameter_counts().attachments[0].parameters == count


@pytest.mark.parametrize(
    ("method", "layer", "config", "sentence"),
    [
        ("lora", nn.LayerNorm(8), {}, "plain linear or convolution"),
        ("lora", nn.Conv2d(8, 8, 3, groups=8), {}, "depthwise"),
        ("lora", nn.Conv2d(8, 8, 3, groups=4), {"rank": 6}, "multiple of"),
        ("pissa", nn.Conv2d(8, 8, 3, groups=2), {}, "grouped"),
        ("pissa", nn.Linear(8, 5), {"rank": 6}, "at most 5"),
        ("lora", timm.layers.StdConv2d(8, 8, 3), {}, "StdConv2d"),
    ],
)
def test_other_layers_are_refused(method: str, layer: nn.Module, config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(StudioError, match=sentence):
        attach(nn.Sequential(layer), [site(method, "0", **config)], head=False)


def test_lora_plus_gives_b_a_faster_rate() -> None:
    attached = attach(build_on_meta("vit"), [site("lora", QKV, plus_ratio=16)], head=False)
    assert attached.lr_scales() == {f"a/{QKV}/lora_A": 1.0, f"a/{QKV}/lora_B": 16.0}


def test_dropout_acts_in_training_alone() -> None:
    attached = moved(attach(build_backbone("vit"), [site("lora", QKV, dropout=0.5)]))
    layer, x = adapted(attached, QKV), torch.randn(2, 5, WIDTH)
    assert torch.equal(layer(x), layer(x))
    attached.train()
    assert not torch.equal(layer(x), layer(x))


@pytest.mark.parametrize("method", ["lora", "rslora", "dora", "pissa"])
def test_the_badge_says_the_rank(method: str) -> None:
    found = METHODS.get(method)
    assert found.info.short_text(found.configure({"rank": 12})) == "r12"
