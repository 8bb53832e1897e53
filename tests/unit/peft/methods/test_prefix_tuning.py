"""Prefix Tuning and LLaMA-Adapter against their formulas, on every supported attention."""

import copy
import zlib
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
from studio.peft.attention_injection import InjectableAttention
from studio.peft.contract import AttachmentSite
from studio.testing.families import FAMILIES, backbone_layers, build_backbone, random_images

OPEN = [family for family in FAMILIES if any(layer.supports_kv_injection for layer in backbone_layers(family))]
TOKENS = ["prefix", "llama_adapter"]


def attachment(method: str, name: str = "", at: str = "**.attn", **config: object) -> Attachment:
    return Attachment(name=name or method, method=method, at=(at,), config=config)


def on(module: nn.Module, *attachments: Attachment) -> AdaptedModel:
    torch.manual_seed(0)
    attached = attach(module, attachments)
    with torch.no_grad():
        for name, parameter in attached.named_parameters():
            if name.endswith("gates"):
                parameter.normal_()
    return attached


def answer(module: nn.Module, family: str) -> Tensor:
    with torch.no_grad():
        return module(random_images(family))


def full_size(name: str = "vit_base_patch16_224") -> nn.Module:
    with torch.device("meta"):
        return timm.create_model(name)


@pytest.mark.parametrize("family", OPEN)
@pytest.mark.parametrize("fused", [True, False])
def test_an_opened_attention_computes_what_timm_does_bit_for_bit(family: str, fused: bool) -> None:
    module = build_backbone(family)
    for layer in module.modules():
        if hasattr(layer, "fused_attn"):
            layer.fused_attn = fused
    plain = answer(module, family)
    for path in [
        layer.path for layer in backbone_layers(family) if layer.supports_kv_injection and layer.path.endswith(".attn")
    ]:
        block = module.get_submodule(path.removesuffix(".attn"))
        block.attn = InjectableAttention(block.attn)
    assert torch.equal(answer(module, family), plain)


@pytest.mark.parametrize("mask", ["boolean", "additive", "causal"])
@pytest.mark.parametrize("fused", [True, False])
def test_a_mask_hides_no_prefix(mask: str, fused: bool) -> None:
    x = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(1))
    attention = build_backbone("vit").blocks[0].attn
    attention.fused_attn = fused
    visible = torch.ones(5, 5, dtype=torch.bool).tril()
    call = {
        "boolean": {"attn_mask": visible},
        "additive": {"attn_mask": torch.zeros(5, 5).masked_fill(~visible, float("-inf"))},
        "causal": {"is_causal": True},
    }[mask]
    with torch.no_grad():
        close(InjectableAttention(attention)(x, **call), attention(x, **call))
        attached = on(build_backbone("vit"), attachment("prefix", std=1.0))
        prefix = attached.module.blocks[0].attn
        close(prefix(x, **call), plain_prefix(attention, x, prefix.keys, prefix.values, visible))


def close(got: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


def plain_heads(attention: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    qkv = functional.linear(x, attention.qkv.weight, attention.qkv.bias)
    batch, count, _ = x.shape
    return tuple(part.reshape(batch, count, attention.num_heads, -1) for part in qkv.chunk(3, dim=-1))


def softmax_attention(query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None = None) -> Tensor:
    """One head of one image: (N, d), (M, d), (M, d) to (N, d)."""
    scores = query @ key.T / query.shape[-1] ** 0.5
    if visible is not None:
        scores = scores.masked_fill(~visible, float("-inf"))
    return torch.softmax(scores, dim=-1) @ value


def plain_prefix(
    attention: nn.Module, x: Tensor, keys: Tensor, values: Tensor, visible: Tensor | None = None
) -> Tensor:
    """Li and Liang, equation 4 in the form of He et al. 2022: head = Attn(x W_q, [P_k; x W_k], [P_v; x W_v])."""
    query, key, value = plain_heads(attention, x)
    width = query.shape[-1]
    if visible is not None:
        visible = torch.cat([torch.ones(len(visible), len(keys), dtype=torch.bool), visible], dim=1)
    out = torch.zeros_like(query)
    for image in range(len(x)):
        for head in range(query.shape[2]):
            columns = slice(head * width, (head + 1) * width)
            longer_key = torch.cat([keys[:, columns], key[image, :, head]])
            longer_value = torch.cat([values[:, columns], value[image, :, head]])
            out[image, :, head] = softmax_attention(query[image, :, head], longer_key, longer_value, visible)
    return attention.proj(out.flatten(2))


def plain_llama(attention: nn.Module, x: Tensor, prompts: Tensor, gates: Tensor) -> Tensor:
    """Zhang et al., equations 3 to 8: the scores of prompts and tokens go through softmax apart, the former gated."""
    query, key, value = plain_heads(attention, x)
    _, prompt_key, prompt_value = plain_heads(attention, prompts.unsqueeze(0))
    out = torch.zeros_like(query)
    for image in range(len(x)):
        for head in range(query.shape[2]):
            q = query[image, :, head]
            gated = torch.tanh(gates[head]) * softmax_attention(q, prompt_key[0, :, head], prompt_value[0, :, head])
            out[image, :, head] = softmax_attention(q, key[image, :, head], value[image, :, head]) + gated
    return attention.proj(out.flatten(2))


@pytest.mark.parametrize("fused", [True, False])
def test_prefix_is_the_papers_formula(fused: bool) -> None:
    x = torch.randn(2, 5, 32)
    attached = on(build_backbone("vit"), attachment("prefix", length=3, std=1.0))
    layer = attached.module.blocks[1].attn
    layer.unwrapped.fused_attn = fused
    with torch.no_grad():
        close(layer(x), plain_prefix(layer.unwrapped, x, layer.keys, layer.values))


@pytest.mark.parametrize("fused", [True, False])
def test_llama_adapter_is_the_papers_formula(fused: bool) -> None:
    x = torch.randn(2, 5, 32)
    attached = on(build_backbone("vit"), attachment("llama_adapter", length=3))
    layer = attached.module.blocks[1].attn
    layer.unwrapped.fused_attn = fused
    with torch.no_grad():
        close(layer(x), plain_llama(layer.unwrapped, x, layer.prompts, layer.gates))


def test_a_reparametrised_prefix_is_one_network_over_one_embedding() -> None:
    attached = on(build_backbone("vit"), attachment("prefix", length=3, reparameterize=True, hidden=7))
    first, second = (block.attn for block in attached.module.blocks)
    assert first.embedding is second.embedding
    assert first.inner is second.inner
    assert first.outer is not second.outer
    hidden = torch.tanh(first.embedding @ first.inner.weight.T + first.inner.bias)
    both = hidden @ second.outer.weight.T + second.outer.bias
    torch.testing.assert_close(torch.cat(second.prefix_kv(), dim=1), both)
    shared = 3 * 32 + 32 * 7 + 7
    assert attached.parameter_counts().attachments[0].parameters == shared + 2 * (7 * 64 + 64)


def test_a_settled_prefix_answers_the_same_without_its_network() -> None:
    recipe = [attachment("prefix", length=3, reparameterize=True, hidden=7)]
    attached = on(build_backbone("vit"), *recipe)
    before = answer(attached.module, "vit")
    (settled,) = attached.finalize(recipe)
    assert torch.equal(answer(attached.module, "vit"), before)
    assert settled.config["reparameterize"] is False
    names = {name for name in attached.state_dict() if name.startswith("prefix/")}
    assert names == {f"prefix/blocks.{i}.attn/{tensor}" for i in (0, 1) for tensor in ("keys", "values")}
    again = attach(build_backbone("vit"), [settled])
    again.load_state_dict(attached.state_dict())
    assert torch.equal(answer(again.module, "vit"), before)


@pytest.mark.parametrize("method", TOKENS)
@pytest.mark.parametrize("family", OPEN)
def test_switched_off_it_is_the_bare_backbone_bit_for_bit(method: str, family: str) -> None:
    plain = answer(build_backbone(family), family)
    attached = on(build_backbone(family), attachment(method))
    assert not torch.equal(answer(attached.module, family), plain)
    attached.enabled = False
    assert torch.equal(answer(attached.module, family), plain)
    attached.enabled = True
    assert torch.equal(answer(attached.detach(), family), plain)


@pytest.mark.parametrize("family", OPEN)
def test_a_closed_gate_changes_no_bit_and_opens_within_two_steps(family: str) -> None:
    plain = answer(build_backbone(family), family)
    attached = attach(build_backbone(family), [attachment("llama_adapter")])
    assert torch.equal(answer(attached.module, family), plain)
    seen = set()
    optimizer = torch.optim.SGD(attached.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        functional.cross_entropy(attached.module(random_images(family)), torch.tensor([0, 1, 2, 3])).backward()
        seen |= {name for name, p in attached.named_parameters() if p.grad is not None and p.grad.any()}
        optimizer.step()
    assert seen == {name for name, _ in attached.named_parameters()}


@pytest.mark.parametrize("family", ["eva02", "eva02-fused"])
def test_a_prefix_is_not_turned_by_rope(family: str) -> None:
    """With RoPE the score of a prefix is the turned query times the prefix itself: recompute it by hand."""
    attached = on(build_backbone(family), attachment("prefix", length=1, std=1.0))
    layer = attached.module.blocks[0].attn
    rope = attached.module.rope.get_embed()
    x = torch.randn(1, 17, 32)
    with torch.no_grad():
        got = layer(x, rope=rope)
        turned: list[Tensor] = []
        original = functional.scaled_dot_product_attention
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                functional, "scaled_dot_product_attention", lambda *a, **k: turned.extend(a) or original(*a, **k)
            )
            layer.unwrapped(x, rope=rope)
        query, key, value = turned
        more = [t.view(1, 1, 2, -1).transpose(1, 2) for t in (layer.keys, layer.values)]
        heads = torch.softmax(query @ torch.cat([more[0], key], 2).transpose(-2, -1) * layer.unwrapped.scale, -1)
        heads = (heads @ torch.cat([more[1], value], 2)).transpose(1, 2).flatten(2)
        close(got, layer.unwrapped.proj(layer.unwrapped.norm(heads)))


def test_grouped_queries_share_the_prefix_of_their_group() -> None:
    arguments = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 4, "num_classes": 5}
    module = timm.create_model(
        "vit_small_patch16_dinov3", **arguments, num_kv_heads=2, attn_type="rope", qkv_fused=False
    ).eval()
    plain = module(torch.ones(1, 3, 32, 32))
    attached = on(module, attachment("prefix", length=3), attachment("llama_adapter", length=2))
    assert attached.module.blocks[0].attn.unwrapped.num_kv_groups == 2
    assert attached.state_dict()["prefix/blocks.0.attn/keys"].shape == (3, 16)
    attached.module(torch.ones(1, 3, 32, 32)).sum().backward()
    assert attached.unused_parameters() == ()
    attached.enabled = False
    torch.testing.assert_close(module(torch.ones(1, 3, 32, 32)), plain)


def test_several_on_one_attention_all_take_part_whatever_the_order() -> None:
    def with_order(*methods: Attachment) -> Tensor:
        attached = on(build_backbone("vit"), *methods)
        for name, tensor in attached.state_dict().items():
            tensor.normal_(std=0.3, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
        return answer(attached.module, "vit")

    lora, prefix, llama = attachment("lora", at="**.qkv"), attachment("prefix"), attachment("llama_adapter")
    first = with_order(lora, prefix, llama)
    torch.testing.assert_close(with_order(llama, prefix, lora), first)
    for missing in ([lora, prefix], [lora, llama], [prefix, llama]):
        assert not torch.allclose(with_order(*missing), first, atol=1e-3)


def test_a_prefix_goes_under_an_adapter_of_the_whole_attention() -> None:
    class Doubled(InjectableAttention):
        def forward(self, *args: Tensor, **call: Tensor) -> Tensor:
            return 2 * self.base_layer(*args, **call)

    seen = []
    original = AttachmentSite.replace

    def outside(site: AttachmentSite, make: object, path: str | None = None, *, innermost: bool = False) -> None:
        original(site, Doubled, path)
        original(site, make, path, innermost=innermost)
        seen.append(site.model.get_submodule(site.layer.path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AttachmentSite, "replace", outside)
        attached = on(build_backbone("vit"), attachment("prefix", at="blocks.0.attn"))
    assert type(seen[0]) is Doubled
    assert type(seen[0].base_layer).__name__ == "PrefixAttention"
    assert type(attached.detach().blocks[0].attn) is type(build_backbone("vit").blocks[0].attn)


@pytest.mark.parametrize(("method", "count"), [("prefix", 184_320), ("llama_adapter", 92_304)])
def test_counts_of_vit_b(method: str, count: int) -> None:
    census = attach(full_size(), [attachment(method, length=10)], head=False).parameter_counts()
    assert census.trainable_parameters == count
    assert set(census.attachments[0].per_site) == {f"blocks.{i}.attn" for i in range(12)}


@pytest.mark.parametrize("method", TOKENS)
def test_saving_and_loading_gives_the_same_bits(method: str, tmp_path: Path) -> None:
    recipe = [attachment(method)]
    attached = on(build_backbone("vit"), *recipe)
    save_adapter(attached, recipe, tmp_path, weights_digest(build_backbone("vit")), {})
    again = load_adapter(build_backbone("vit"), tmp_path)
    assert torch.equal(answer(again.module, "vit"), answer(attached.module, "vit"))


@pytest.mark.parametrize("method", TOKENS)
@pytest.mark.parametrize("family", ["vit", "beit", "eva02", "swin"])
def test_gradient_checkpointing_gives_the_same_gradients(method: str, family: str) -> None:
    def gradients(checkpointing: bool) -> list[Tensor]:
        attached = on(build_backbone(family), attachment(method)).train()
        attached.module.set_grad_checkpointing(checkpointing)
        attached.module(random_images(family)).square().sum().backward()
        return [p.grad for _, p in attached.named_parameters()]

    for one, other in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("method", TOKENS)
@pytest.mark.parametrize("family", ["vit", "eva02", "beit", "swin", "swinv2"])
@pytest.mark.slow
def test_torch_export(method: str, family: str) -> None:
    attached = on(build_backbone(family), attachment(method))
    program = torch.export.export(
        attached.module, (random_images(family, 2),), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False
    )
    with torch.no_grad():
        close(program.module()(random_images(family, 3)), attached.module(random_images(family, 3)))


@pytest.mark.parametrize("family", OPEN)
def test_bfloat16_autocast_and_deepcopy(family: str) -> None:
    attached = on(build_backbone(family), attachment("prefix"), attachment("llama_adapter"))
    exact = answer(attached.module, family)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = answer(attached.module, family).float()
    assert (rounded - exact).abs().max() < 0.15
    twin = copy.deepcopy(attached)
    with torch.no_grad():
        next(iter(attached.parameters())).add_(1)
    assert torch.equal(answer(twin.module, family), exact)


@pytest.mark.parametrize("method", TOKENS)
def test_it_does_not_merge_and_says_why(method: str) -> None:
    attached = on(build_backbone("vit"), attachment(method))
    with pytest.raises(StudioError, match="no weight of the backbone can represent") as refusal:
        attached.merge()
    assert "Export it as adapter, onnx or torch" in str(refusal.value)


@pytest.mark.parametrize("method", TOKENS)
def test_refusals_are_sentences(method: str) -> None:
    chosen = METHODS.get(method)
    config = chosen.configure({})
    rows = {layer.path: layer for layer in backbone_layers("maxvit")}
    attention = next(layer for layer in rows.values() if layer.role == "attention")
    assert "this type of attention" in chosen.unsupported_reason(attention, config, ())
    assert "needs an attention layer; this is a ResNet." in chosen.unsupported_reason(
        backbone_layers("resnet")[0], config, ()
    )
