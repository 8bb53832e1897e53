"""VPT-shallow and VPT-deep against the paper's formulas, on every supported family."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from studio.backbones.loading import weights_digest
from studio.core.errors import StudioError
from studio.core.recipe import Attachment
from studio.peft import METHODS, attach
from studio.peft.adapter_file import load_adapter, save_adapter
from studio.peft.attach import AdaptedModel
from studio.peft.targets import default_attachment
from studio.testing.families import backbone_layers, build_backbone, random_images

PLAIN = ["vit", "deit-distilled", "dinov2-registers", "siglip", "beit", "eva02", "eva02-fused"]
WINDOWED = ["swin", "swinv2"]
CASES = [("vpt_shallow", f) for f in PLAIN] + [("vpt_deep", f) for f in PLAIN + WINDOWED]
SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "num_classes": 5}


def attachment(method: str, *at: str, name: str = "", **config: object) -> Attachment:
    targets = at or ((".",) if method == "vpt_shallow" else ("**.blocks.*",))
    return Attachment(name=name or method, method=method, at=targets, config={"length": 3} | config)


def on(module: nn.Module, *attachments: Attachment) -> AdaptedModel:
    """Attach, with prompts large enough to matter."""
    attached = attach(module, attachments)
    for name, tensor in attached.state_dict().items():
        if name.endswith("prompts"):
            tensor.normal_(generator=torch.Generator().manual_seed(len(name) + tensor.numel()))
    return attached


def prompts_of(attached: AdaptedModel) -> dict[str, Tensor]:
    return {name.split("/")[1]: t for name, t in attached.state_dict().items() if name.endswith("/prompts")}


def answer(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return module(x)


def small(**arguments: object) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", **SMALL | arguments).eval()


def close(got: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


# The paper's computation, by hand: x goes through bare blocks with the prompts among its tokens.


def with_prompts(x: Tensor, prompts: Tensor, first: int) -> Tensor:
    return torch.cat([x[:, :first], prompts.expand(len(x), -1, -1), x[:, first:]], dim=1)


def without_prompts(x: Tensor, count: int, first: int) -> Tensor:
    return torch.cat([x[:, :first], x[:, first + count :]], dim=1)


def plainly(module: nn.Module, x: Tensor, prompts: dict[str, Tensor], *, deep: bool) -> Tensor:
    """Jia et al., equations 4 and 5 (shallow) or 6 (deep), then the backbone's own head on its own tokens."""
    first = module.num_prefix_tokens
    count = len(next(iter(prompts.values())))
    x, call = _embedded(module, x)
    _count_prompts(module, count)
    with torch.no_grad():
        if not deep:
            x = with_prompts(x, prompts["blocks.0"], first)
        for index, block in enumerate(module.blocks):
            x = with_prompts(x, prompts[f"blocks.{index}.attn"], first) if deep else x
            x = block(x, **call)
            x = without_prompts(x, count, first) if deep else x
        x = x if deep else without_prompts(x, count, first)
        return module.forward_head(module.norm(x))


def _embedded(module: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    x = module.patch_embed(x)
    if type(module).__name__ == "Eva":
        x, rope = module._pos_embed(x)
        return module.norm_pre(x), {"rope": rope}
    if type(module).__name__ == "Beit":
        x = torch.cat([module.cls_token.expand(len(x), -1, -1), x], dim=1)
        return x if module.pos_embed is None else x + module.pos_embed, {}
    return module.norm_pre(module._pos_embed(x)), {}


def _count_prompts(module: nn.Module, count: int) -> None:
    """Prompts have no position: RoPE begins after them, and BEiT's bias is zero for them."""
    for block in module.blocks:
        if hasattr(block.attn, "num_prefix_tokens"):
            block.attn.num_prefix_tokens += count
        if hasattr(block.attn, "_get_rel_pos_bias"):
            block.attn._get_rel_pos_bias = _zero_for_prompts(block.attn._get_rel_pos_bias, count)


def _zero_for_prompts(own: Callable[[], Tensor], count: int) -> Callable[[], Tensor]:
    def longer() -> Tensor:
        bias = own()
        known = [0, *range(1 + count, bias.shape[-1] + count)]
        grown = torch.zeros(1, bias.shape[1], len(known) + count, len(known) + count)
        for i, row in enumerate(known):
            grown[:, :, row, known] = bias[:, :, i]
        return grown

    return longer


@pytest.mark.parametrize("family", PLAIN)
@pytest.mark.parametrize("method", ["vpt_shallow", "vpt_deep"])
def test_it_is_the_papers_computation(method: str, family: str) -> None:
    attached = on(build_backbone(family), attachment(method))
    wanted = plainly(build_backbone(family), random_images(family), prompts_of(attached), deep=method == "vpt_deep")
    close(answer(attached.module, random_images(family)), wanted)
    assert not torch.allclose(wanted, answer(build_backbone(family), random_images(family)), atol=1e-2)


@pytest.mark.parametrize(
    "arguments",
    [
        {"global_pool": "avg"},
        {"global_pool": "max", "class_token": False},
        {"global_pool": "map", "reg_tokens": 2},
        {"global_pool": "token", "reg_tokens": 2, "qk_norm": True},
        {"pre_norm": True, "init_values": 0.1},
        {"dynamic_img_size": True, "no_embed_class": True},
    ],
)
@pytest.mark.parametrize("method", ["vpt_shallow", "vpt_deep"])
def test_every_way_of_pooling_leaves_the_prompts_out(method: str, arguments: dict[str, object]) -> None:
    x = random_images("vit")
    module = small(**arguments)
    attached = on(copy.deepcopy(module), attachment(method))
    close(answer(attached.module, x), plainly(module, x, prompts_of(attached), deep=method == "vpt_deep"))


@pytest.mark.parametrize("network", ["vit", "eva"])
def test_a_pool_over_all_tokens_never_sees_a_prompt(network: str) -> None:
    if network == "vit":
        module = small(global_pool="map", reg_tokens=2, pool_include_prefix=True)
    else:
        module = timm.create_model("eva02_tiny_patch14_224", **SMALL, global_pool="map").eval()
    attached = on(copy.deepcopy(module), attachment("vpt_shallow"))
    close(
        answer(attached.module, random_images("vit")),
        plainly(module, random_images("vit"), prompts_of(attached), deep=False),
    )


def windowed_attention(attention: nn.Module, x: Tensor, prompts: Tensor, mask: Tensor | None) -> Tensor:
    """Attention inside windows (windows, area, D) with the prompts in each, bias and mask zero for them."""
    count, (windows, area, _) = len(prompts), x.shape
    tokens = torch.cat([prompts.expand(windows, -1, -1), x], dim=1)
    bias = attention.qkv.bias
    if getattr(attention, "q_bias", None) is not None:
        bias = torch.cat([attention.q_bias, torch.zeros_like(attention.q_bias), attention.v_bias])
    qkv = functional.linear(tokens, attention.qkv.weight, bias)
    query, key, value = (t.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for t in qkv.chunk(3, dim=-1))
    scores = torch.zeros(windows, attention.num_heads, area + count, area + count)
    scores[:, :, count:, count:] = _window_bias(attention, area)
    if mask is not None:
        scores[:, :, count:, count:] += mask.repeat(windows // len(mask), 1, 1)[:, None]
    if hasattr(attention, "logit_scale"):
        temperature = attention.logit_scale.exp().clamp(max=100)
        query, key = (t / t.norm(dim=-1, keepdim=True) for t in (query, key))
        scores = scores + query @ key.transpose(-2, -1) * temperature
    else:
        scores = scores + query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    heads = (scores.softmax(-1) @ value)[:, :, count:]
    return attention.proj(heads.transpose(1, 2).flatten(2))


def _window_bias(attention: nn.Module, area: int) -> Tensor:
    index = attention.relative_position_index
    if hasattr(attention, "cpb_mlp"):
        table = attention.cpb_mlp(attention.relative_coords_table).flatten(0, 2)
        return 16 * torch.sigmoid(table[index].permute(2, 0, 1))
    return attention.relative_position_bias_table[index.flatten()].view(area, area, -1).permute(2, 0, 1)


@pytest.mark.parametrize("family", WINDOWED)
def test_in_swin_each_window_has_the_prompts(family: str) -> None:
    attached = on(build_backbone(family), attachment("vpt_deep"))
    module = build_backbone(family)
    for path, prompts in prompts_of(attached).items():
        block = module.get_submodule(path.removesuffix(".attn"))
        inner = block.norm1(prompts) if family == "swin" else prompts
        block.attn.forward = lambda x, mask=None, attention=block.attn, inner=inner: windowed_attention(
            attention, x, inner, mask
        )
    assert any(getattr(m, "attn_mask", None) is not None for m in module.modules())
    close(answer(attached.module, random_images(family)), answer(module, random_images(family)))


@pytest.mark.parametrize(("method", "count"), [("vpt_shallow", 38_400), ("vpt_deep", 460_800)])
def test_counts_of_vit_b(method: str, count: int) -> None:
    with torch.device("meta"):
        module = timm.create_model("vit_base_patch16_224")
    census = attach(module, [attachment(method, length=50)], head=False).parameter_counts()
    assert census.trainable_parameters == count
    sites = {""} if method == "vpt_shallow" else {f"blocks.{i}" for i in range(12)}
    assert set(census.attachments[0].per_site) == sites


def test_prompts_begin_as_in_the_paper() -> None:
    """Uniform within sqrt(6 / (3 patch^2 + D))."""
    attached = attach(build_backbone("vit"), [attachment("vpt_deep", length=200)])
    bound = (6 / (3 * 8**2 + 32)) ** 0.5
    for prompts in prompts_of(attached).values():
        assert 0.98 * bound < prompts.abs().max() <= bound
        assert abs(prompts.std() - bound / 3**0.5) < 0.02 * bound


def test_deep_prompts_of_some_blocks_are_seen_there_and_nowhere_else() -> None:
    attached = on(build_backbone("vit"), attachment("vpt_deep", "blocks.1"))
    module, x = build_backbone("vit"), random_images("vit")
    prompts = prompts_of(attached)["blocks.1.attn"]
    with torch.no_grad():
        tokens = module.blocks[0](module._pos_embed(module.patch_embed(x)))
        tokens = without_prompts(module.blocks[1](with_prompts(tokens, prompts, 1)), 3, 1)
        close(answer(attached.module, x), module.forward_head(module.norm(tokens)))
        _, (first, _) = attached.module.forward_intermediates(x)
        _, (plain, _) = module.forward_intermediates(x)
    close(first, plain)


def test_the_backbone_and_its_first_block_mean_the_same() -> None:
    once = on(build_backbone("vit"), attachment("vpt_shallow"))
    twice = on(build_backbone("vit"), attachment("vpt_shallow", ".", "blocks.0"))
    assert once.state_dict().keys() == twice.state_dict().keys()
    assert torch.equal(answer(once.module, random_images("vit")), answer(twice.module, random_images("vit")))


@pytest.mark.parametrize(
    ("method", "under", "at"),
    [
        ("vpt_shallow", "", (".",)),
        ("vpt_shallow", "blocks.0", ("blocks.0",)),
        ("vpt_deep", "", ("blocks.*",)),
        ("vpt_deep", "blocks.1", ("blocks.1",)),
    ],
)
def test_what_a_drop_means(method: str, under: str, at: tuple[str, ...]) -> None:
    assert default_attachment(METHODS.get(method), backbone_layers("vit"), under).at == at


@pytest.mark.parametrize(
    ("method", "family", "under", "words"),
    [
        ("vpt_shallow", "vit", "blocks.1", "use VPT-deep here"),
        ("vpt_shallow", "swin", "", "this is a SwinTransformer"),
        ("vpt_shallow", "resnet", "", "this is a ResNet"),
        ("vpt_deep", "vit", "blocks.1.attn", "needs a block"),
        ("vpt_deep", "convnext", "", "this is a ConvNeXt"),
        ("vpt_deep", "maxvit", "", "this is a MaxxVit"),
    ],
)
def test_refusals_are_sentences(method: str, family: str, under: str, words: str) -> None:
    with pytest.raises(StudioError, match=words):
        default_attachment(METHODS.get(method), backbone_layers(family), under)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dynamic_img_size": True}, "resizes its position embedding"),
        ({"global_pool": "avg", "pool_include_prefix": True}, "averages over all tokens"),
    ],
)
def test_where_prompts_would_be_miscounted_it_says_so_and_leaves_the_backbone_alone(
    arguments: dict[str, object], words: str
) -> None:
    module = small(**arguments)
    before = answer(module, random_images("vit"))
    with pytest.raises(StudioError, match=words):
        attach(module, [attachment("vpt_shallow")])
    assert torch.equal(answer(module, random_images("vit")), before)
    attach(module, [attachment("vpt_deep")])


@pytest.mark.parametrize(("method", "family"), CASES)
def test_switched_off_and_detached_it_is_the_bare_backbone(method: str, family: str) -> None:
    x = random_images(family)
    plain = answer(build_backbone(family), x)
    attached = on(build_backbone(family), attachment(method))
    prompted = answer(attached.module, x)
    attached.enabled = False
    assert torch.equal(answer(attached.module, x), plain)
    attached.enabled = True
    assert torch.equal(answer(attached.module, x), prompted)
    assert torch.equal(answer(attached.detach(), x), plain)
    assert getattr(attached.module, "num_prefix_tokens", 0) == getattr(build_backbone(family), "num_prefix_tokens", 0)


@pytest.mark.parametrize("family", ["vit", "eva02", "beit"])
def test_several_prompts_together_and_each_switched_alone(family: str) -> None:
    x = random_images(family)
    one = attachment("vpt_shallow", name="one", length=2)
    two = attachment("vpt_shallow", name="two", length=3)
    deep = attachment("vpt_deep", name="deep", length=4)
    together = on(build_backbone(family), one, two, deep)
    assert together.module.num_prefix_tokens == 6
    for off, left in (("one", (two, deep)), ("two", (one, deep)), ("deep", (one, two))):
        together.set_enabled(off, False)
        alone = attach(build_backbone(family), left)
        alone.load_state_dict({n: t for n, t in together.state_dict().items() if not n.startswith(f"{off}/")})
        close(answer(together.module, x), answer(alone.module, x))
        together.set_enabled(off, True)


@pytest.mark.parametrize(("method", "family"), CASES)
def test_intermediate_features_keep_their_shape(method: str, family: str) -> None:
    attached = on(build_backbone(family), attachment(method))
    with torch.no_grad():
        _, got = attached.module.forward_intermediates(random_images(family))
        _, plain = build_backbone(family).forward_intermediates(random_images(family))
    assert [t.shape for t in got] == [t.shape for t in plain]
    assert not torch.allclose(got[-1], plain[-1])


def test_prompts_count_as_prefix_tokens_of_intermediate_features() -> None:
    attached = on(build_backbone("dinov2-registers"), attachment("vpt_shallow"))
    with torch.no_grad():
        found = attached.module.forward_intermediates(
            random_images("dinov2-registers"), return_prefix_tokens=True, intermediates_only=True
        )
    assert [prefix.shape for _, prefix in found] == [(4, 5 + 3, 32)] * 2


@pytest.mark.parametrize(("method", "family"), CASES)
def test_gradient_checkpointing_gives_the_same_gradients(method: str, family: str) -> None:
    def gradients(checkpointing: bool) -> list[Tensor]:
        attached = on(build_backbone(family), attachment(method)).train()
        attached.module.set_grad_checkpointing(checkpointing)
        attached.module(random_images(family)).square().sum().backward()
        return [p.grad for p in attached.parameters()]

    for one, other in zip(gradients(False), gradients(True), strict=True):
        assert one.any()
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("method", "family"), [c for c in CASES if c[1] in ("vit", "beit", "eva02", "swin")])
@pytest.mark.slow
def test_torch_export(method: str, family: str) -> None:
    attached = on(build_backbone(family), attachment(method))
    program = torch.export.export(
        attached.module, (random_images(family, 2),), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False
    )
    close(answer(program.module(), random_images(family, 3)), answer(attached.module, random_images(family, 3)))


@pytest.mark.parametrize(("method", "family"), CASES)
def test_bfloat16_autocast_and_deepcopy(method: str, family: str) -> None:
    x = random_images(family)
    attached = on(build_backbone(family), attachment(method))
    exact = answer(attached.module, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (answer(attached.module, x).float() - exact).abs().max() < 0.15
    twin = copy.deepcopy(attached)
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.add_(1)
    assert torch.equal(answer(twin.module, x), exact)


def test_a_deep_copy_reads_its_own_norm() -> None:
    """The attention of VPT-deep knows the block that holds it; the copy's is to know the copy."""
    twin = copy.deepcopy(on(build_backbone("vit"), attachment("vpt_deep")))
    for block in twin.module.blocks:
        assert block.attn.block[0] is block


@pytest.mark.parametrize("method", ["vpt_shallow", "vpt_deep"])
def test_dropout_acts_in_training_alone(method: str) -> None:
    attached = on(build_backbone("vit"), attachment(method, dropout=0.5))
    x = random_images("vit")
    assert torch.equal(answer(attached.module, x), answer(attached.module, x))
    attached.train()
    assert not torch.equal(answer(attached.module, x), answer(attached.module, x))
    same = random_images("vit", 1).expand(2, -1, -1, -1)
    first, second = answer(attached.module, same)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("method", ["vpt_shallow", "vpt_deep"])
def test_saving_and_loading_gives_the_same_bits(method: str, tmp_path: Path) -> None:
    recipe = [attachment(method)]
    attached = on(build_backbone("vit"), *recipe)
    save_adapter(attached, recipe, tmp_path, weights_digest(build_backbone("vit")), {})
    again = load_adapter(build_backbone("vit"), tmp_path)
    assert torch.equal(answer(again.module, random_images("vit")), answer(attached.module, random_images("vit")))


@pytest.mark.parametrize("method", ["vpt_shallow", "vpt_deep"])
def test_it_does_not_merge_and_says_why(method: str) -> None:
    with pytest.raises(
        StudioError, match=r"no weight of the backbone can represent its tokens\. Export it as adapter, onnx or torch"
    ):
        on(build_backbone("vit"), attachment(method)).merge()


def test_deep_prompts_go_through_an_adapted_qkv_and_norm() -> None:
    """LoRA on qkv acts on the prompts too, as they are tokens of the block."""
    attached = on(build_backbone("vit"), attachment("vpt_deep"), Attachment(name="l", method="lora", at=("**.qkv",)))
    for name, tensor in attached.state_dict().items():
        if name.endswith("lora_B"):
            tensor.fill_(0.1)
    merged, x = build_backbone("vit"), random_images("vit")
    for index, block in enumerate(merged.blocks):
        adapted = attached.module.blocks[index].attn.unwrapped.qkv
        with torch.no_grad():
            block.attn.qkv.weight += adapted.delta_weight()
    close(answer(attached.module, x), plainly(merged, x, prompts_of(attached), deep=True))


def test_a_backbone_inside_another_module() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = build_backbone("eva02")

        def forward(self, x: Tensor) -> Tensor:
            return self.backbone(x)

    x = random_images("eva02")
    inside = attach(Wrapped(), [attachment("vpt_shallow", "backbone")], head=False)
    alone = attach(build_backbone("eva02"), [attachment("vpt_shallow")], head=False)
    alone.load_state_dict({"vpt_shallow/blocks.0/prompts": next(iter(inside.state_dict().values()))})
    assert torch.equal(answer(inside.module, x), answer(alone.module, x))
    assert inside.module.backbone.num_prefix_tokens == 4


@pytest.mark.parametrize(("at", "seen"), [(".", True), ("blocks.0", False)])
def test_adapter_drop_takes_the_prompts_whole_or_not_at_all(at: str, seen: bool) -> None:
    """Attached to the backbone they are in no block, attached to the first block they rest with it, count and all."""
    x = random_images("eva02")
    drop = Attachment(name="drop", method="adapter_drop", at=(".",), config={"skip": 1})
    dropped = on(build_backbone("eva02"), attachment("vpt_shallow", at), drop)
    whole = on(build_backbone("eva02"), attachment("vpt_shallow", at))
    close(answer(dropped.module, x), answer(whole.module if seen else build_backbone("eva02"), x))
