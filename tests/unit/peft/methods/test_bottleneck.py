"""Bottleneck adapters against their formulas, written out from the papers."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from timm.models.beit import Beit
from timm.models.cait import Cait
from timm.models.convnext import ConvNeXt
from timm.models.eva import Eva
from timm.models.maxxvit import MaxxVit, MaxxVitCfg, MaxxVitTransformerCfg
from torch import Tensor, nn
from torch.nn import functional

from studio.backbones.layer_roles import describe_layers
from studio.core.errors import StudioError
from studio.peft import METHODS, AdaptedModel, Attachment, attach
from studio.peft.targets import default_attachment
from studio.testing.families import backbone_layers, build_backbone, random_images, randomize_tensors

VIT = {"img_size": 32, "patch_size": 16, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 3}
SMALL = ["houlsby", "pfeiffer", "parallel", "adaptformer", "adapter_plus"]


def adapted(module: nn.Module, method: str, **config: Any) -> AdaptedModel:
    """The method where it goes by default, with random values in every tensor of the adapter."""
    attachment = default_attachment(METHODS.get(method), describe_layers(module), config={"bottleneck": 3} | config)
    attached = attach(module, [attachment.model_copy(update={"name": "a"})], head=False)
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.normal_(std=0.5)
    return attached.eval()


def added(attached: AdaptedModel, path: str, x: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """W_up activation(W_down x + b_down) + b_up, for tokens (..., D), from the adapter's tensors alone."""
    state = attached.state_dict()
    down, up = state[f"a/{path}/adapter.down.weight"], state[f"a/{path}/adapter.up.weight"]
    low = activation(x @ down.T + state[f"a/{path}/adapter.down.bias"])
    return low @ up.T + state[f"a/{path}/adapter.up.bias"]


def tokens(width: int = 32) -> Tensor:
    return torch.randn(2, 5, width, generator=torch.Generator().manual_seed(3))


def agree(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_houlsby_follows_attention_and_mlp() -> None:
    plain, attached = build_backbone("vit").blocks[1], adapted(build_backbone("vit"), "houlsby")
    x = tokens()
    attention = plain.attn(plain.norm1(x))
    middle = x + attention + added(attached, "blocks.1.attn", attention, functional.gelu)
    hidden = plain.mlp(plain.norm2(middle))
    agree(attached.module.blocks[1](x), middle + hidden + added(attached, "blocks.1.mlp", hidden, functional.gelu))


def test_pfeiffer_follows_the_mlp() -> None:
    plain, attached = build_backbone("vit").blocks[0], adapted(build_backbone("vit"), "pfeiffer")
    x = tokens()
    middle = x + plain.attn(plain.norm1(x))
    hidden = plain.mlp(plain.norm2(middle))
    agree(attached.module.blocks[0](x), middle + hidden + added(attached, "blocks.0.mlp", hidden, functional.relu))


def test_parallel_reads_what_the_mlp_reads() -> None:
    plain, attached = build_backbone("vit").blocks[0], adapted(build_backbone("vit"), "parallel", scale=2.5)
    x = tokens()
    middle = x + plain.attn(plain.norm1(x))
    read = plain.norm2(middle)
    expected = middle + plain.mlp(read) + 2.5 * added(attached, "blocks.0.mlp", read, functional.relu)
    agree(attached.module.blocks[0](x), expected)


@pytest.mark.parametrize("norm", ["none", "own", "shared"])
def test_adaptformer_reads_the_stream(norm: str) -> None:
    plain, attached = (
        build_backbone("vit").blocks[0],
        adapted(build_backbone("vit"), "adaptformer", norm=norm, learn_scale=True),
    )
    state, x = attached.state_dict(), tokens()
    middle = x + plain.attn(plain.norm1(x))
    read = {"none": lambda: middle, "own": lambda: own_norm(state, middle), "shared": lambda: plain.norm2(middle)}[
        norm
    ]()
    expected = middle + plain.mlp(plain.norm2(middle))
    expected = expected + state["a/blocks.0.mlp/adapter.scale"] * added(attached, "blocks.0.mlp", read, functional.relu)
    agree(attached.module.blocks[0](x), expected)


def own_norm(state: dict[str, Tensor], x: Tensor) -> Tensor:
    weight, bias = state["a/blocks.0.mlp/adapter.norm.weight"], state["a/blocks.0.mlp/adapter.norm.bias"]
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt() * weight + bias


def test_adapter_plus_follows_the_block_with_a_scale_for_each_channel() -> None:
    plain, attached = build_backbone("vit").blocks[0], adapted(build_backbone("vit"), "adapter_plus")
    x = tokens()
    h = plain(x)
    scale = attached.state_dict()["a/blocks.0/adapter.scale"]
    assert scale.shape == (32,)
    agree(attached.module.blocks[0](x), h + scale * added(attached, "blocks.0", h, functional.gelu))


def test_after_the_layer_scale_of_dinov2_or_before_it() -> None:
    plain, x = build_backbone("dinov2-registers").blocks[0], tokens()
    scaled = plain.ls1(plain.attn(plain.norm1(x)))
    after = adapted(build_backbone("dinov2-registers"), "houlsby")
    before = adapted(build_backbone("dinov2-registers"), "houlsby", layer_scale="before")
    middle = x + scaled + added(after, "blocks.0.ls1", scaled, functional.gelu)
    hidden = plain.ls2(plain.mlp(plain.norm2(middle)))
    agree(after.module.blocks[0](x), middle + hidden + added(after, "blocks.0.ls2", hidden, functional.gelu))
    attention = plain.attn(plain.norm1(x))
    middle = x + plain.ls1(attention + added(before, "blocks.0.attn", attention, functional.gelu))
    hidden = plain.mlp(plain.norm2(middle))
    agree(
        before.module.blocks[0](x), middle + plain.ls2(hidden + added(before, "blocks.0.mlp", hidden, functional.gelu))
    )


def test_wherever_it_is_added_it_counts_at_the_layer_that_is_named() -> None:
    census = adapted(build_backbone("dinov2-registers"), "houlsby").parameter_counts().attachments[0]
    assert (
        set(census.per_site)
        == set(census.matched)
        == {f"blocks.{i}.{part}" for i in (0, 1) for part in ("attn", "mlp")}
    )


@pytest.mark.parametrize("network", [Beit, Eva])
def test_after_a_layer_scale_that_is_a_parameter(network: type[nn.Module]) -> None:
    torch.manual_seed(0)
    module = network(**VIT, init_values=0.3)
    randomize_tensors(module)
    plain = module.eval().blocks[0]
    x = tokens(16)
    middle = x + plain.gamma_1 * plain.attn(plain.norm1(x))
    read = plain.norm2(middle)
    hidden = plain.gamma_2 * plain.mlp(read)
    attached = adapted(module, "parallel")
    agree(module.blocks[0](x), middle + hidden + 4 * added(attached, "blocks.0.drop_path2", read, functional.relu))
    attached.detach()
    attached = adapted(module, "pfeiffer")
    agree(module.blocks[0](x), middle + hidden + added(attached, "blocks.0.drop_path2", hidden, functional.relu))


@pytest.mark.parametrize("conv_mlp", [False, True])
@pytest.mark.parametrize("layer_scale", ["after", "before"])
@pytest.mark.parametrize("method", ["pfeiffer", "adaptformer"])
def test_convnext_in_both_layouts(conv_mlp: bool, layer_scale: str, method: str) -> None:
    torch.manual_seed(0)
    module = ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 8, 8, 8), num_classes=3, conv_mlp=conv_mlp).eval()
    randomize_tensors(module)
    plain = module.stages[1].blocks[0]
    x = torch.randn(2, 8, 4, 6)
    stream = plain.conv_dw(x).permute(0, 2, 3, 1)
    image = stream.permute(0, 3, 1, 2)
    hidden = plain.mlp(plain.norm(image)).permute(0, 2, 3, 1) if conv_mlp else plain.mlp(plain.norm(stream))
    scaled = hidden * plain.gamma
    attached = adapted(module, method, layer_scale=layer_scale)
    path = "stages.1.blocks.0." + ("drop_path" if layer_scale == "after" else "mlp")
    scale = 0.1 if method == "adaptformer" else 1.0
    read = stream if method == "adaptformer" else scaled if layer_scale == "after" else hidden
    given = scale * added(attached, path, read, functional.relu)
    expected = scaled + (given if layer_scale == "after" else given * plain.gamma)
    agree(attached.module.stages[1].blocks[0](x), x + expected.permute(0, 3, 1, 2))


def test_adaptformer_reads_the_mlps_input_where_the_norm_comes_after_it() -> None:
    plain, attached = build_backbone("swinv2").layers[0].blocks[0], adapted(build_backbone("swinv2"), "adaptformer")
    x = torch.randn(2, 8, 8, 16)
    middle = (x + plain.norm1(plain._attn(x))).flatten(1, 2)
    given = 0.1 * added(attached, "layers.0.blocks.0.mlp", middle, functional.relu)
    expected = middle + plain.norm2(plain.mlp(middle) + given)
    agree(attached.module.layers[0].blocks[0](x).flatten(1, 2), expected)


@pytest.mark.parametrize(
    ("method", "config", "count"),
    [
        ("houlsby", {"bottleneck": 8}, 313_536),
        ("houlsby", {}, 2_379_264),
        ("pfeiffer", {"bottleneck": 8}, 156_768),
        ("pfeiffer", {}, 1_189_632),
        ("parallel", {"bottleneck": 512}, 9_452_544),
        ("adaptformer", {}, 1_189_632),
        ("adaptformer", {"norm": "own"}, 1_189_632 + 12 * 2 * 768),
        ("adapter_plus", {}, 156_768 + 12 * 768),
        ("compacter", {}, 57_088),
        ("compacter_pp", {}, 28_576),
    ],
)
def test_counts_on_vit_base(method: str, config: dict[str, Any], count: int) -> None:
    with torch.device("meta"):
        module = timm.create_model("vit_base_patch16_224")
    attachment = default_attachment(METHODS.get(method), describe_layers(module), config=config)
    assert attach(module, [attachment], head=False).parameter_counts().trainable_parameters == count


def test_zero_begins_as_identity_and_small_near_it() -> None:
    for method in SMALL:
        module = build_backbone("vit")
        plain = module(random_images("vit"))
        for init, low, high in (("zero", 0.0, 0.0), ("small", 1e-9, 0.1)):
            attachment = default_attachment(METHODS.get(method), backbone_layers("vit"), config={"init": init})
            attached = attach(module, [attachment])
            difference = (module(random_images("vit")) - plain).abs().max().item()
            attached.detach()
            assert low <= difference <= high, (method, init)


def test_the_projection_down_learns_from_the_second_step_on() -> None:
    """With both projections at zero, as one published baseline has it, only the last bias would ever learn."""
    attached = attach(build_backbone("vit"), [default_attachment(METHODS.get("pfeiffer"), backbone_layers("vit"))])
    parameters = dict(attached.named_parameters())
    optimizer = torch.optim.SGD(parameters.values(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        attached.module(random_images("vit")).square().sum().backward()
        optimizer.step()
    assert parameters["pfeiffer/blocks.0.mlp/adapter.down.weight"].grad.abs().max() > 0


def test_norms_train_where_it_is_wanted() -> None:
    attached = adapted(build_backbone("vit"), "pfeiffer", train_norms=True)
    assert {n.rpartition("/")[0] for n in attached.state_dict() if "norm" in n} == {
        "a/blocks.0.norm2",
        "a/blocks.1.norm2",
    }
    assert attached.parameter_counts().attachments[0].per_site["blocks.0.mlp"] == 2 * 32 * 3 + 3 + 32 + 2 * 32


@pytest.mark.parametrize("field", ["dropout", "drop_path"])
def test_what_is_random_is_random_in_training_only(field: str) -> None:
    attached = adapted(build_backbone("vit"), "adapter_plus", **{"drop_path": 0.0, "dropout": 0.0, field: 0.5})
    x = random_images("vit")
    assert torch.equal(attached.module(x), attached.module(x))
    attached.train()
    assert not torch.equal(attached.module(x), attached.module(x))


def test_a_convolutional_network_is_told_why() -> None:
    for method in SMALL:
        with pytest.raises(StudioError, match="ResNet has none that it supports"):
            default_attachment(METHODS.get(method), backbone_layers("resnet"))


@pytest.mark.parametrize(
    ("family", "path", "reason"),
    [
        ("vit", "blocks.0.norm1", "Houlsby adapter needs attention and MLP layers; this is a LayerNorm."),
        ("vit", "blocks.0", "Houlsby adapter needs attention and MLP layers; Block has none that it supports."),
    ],
)
def test_a_wrong_layer_is_named(family: str, path: str, reason: str) -> None:
    with pytest.raises(StudioError, match=reason):
        attach(build_backbone(family), [Attachment(name="a", method="houlsby", at=(path,))])


def test_slices_are_refused() -> None:
    with pytest.raises(StudioError, match="no q, k and v slices"):
        attach(build_backbone("vit"), [Attachment(name="a", method="houlsby", at=("blocks.0.attn",), slices=("q",))])


def test_a_block_of_unknown_layout_is_refused() -> None:
    with pytest.raises(StudioError, match="may change the token width"):
        attach(build_backbone("resnet"), [Attachment(name="a", method="adapter_plus", at=("layer1.0",))])


def test_a_squeeze_and_excitation_is_no_mlp() -> None:
    assert not [row for row in backbone_layers("maxvit") if row.type == "SEModule" and row.role == "mlp"]


def test_a_layer_scale_that_cannot_be_passed_says_the_way_out() -> None:
    module = Cait(**VIT, depth_token_only=1).eval()
    attachment = Attachment(name="a", method="pfeiffer", at=("blocks.*.mlp",))
    with pytest.raises(StudioError, match="Set layer_scale to before"):
        attach(module, [attachment])
    attach(module, [attachment.model_copy(update={"config": {"layer_scale": "before"}})])


def test_windows_between_input_and_layer_scale_say_the_way_out() -> None:
    windows = MaxxVitTransformerCfg(dim_head=8, init_values=0.1, window_size=(2, 2), grid_size=(2, 2))
    cfg = MaxxVitCfg(embed_dim=(16,), depths=(1,), stem_width=8, block_type=("M",), transformer_cfg=windows)
    module = MaxxVit(cfg, img_size=16, num_classes=3).eval()
    at = ("stages.0.blocks.0.attn_block.attn",)
    attached = attach(module, [Attachment(name="a", method="parallel", at=at)])
    with pytest.raises(StudioError, match="Set layer_scale to before"):
        module(torch.randn(1, 3, 16, 16))
    attached.detach()
    attach(module, [Attachment(name="a", method="parallel", at=at, config={"layer_scale": "before"})])
    assert module(torch.randn(1, 3, 16, 16)).shape == (1, 3)
