"""Compacter against its formula: Kronecker products, a rule that all layers share."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from studio.core.errors import StudioError
from studio.peft import METHODS, AdaptedModel, Attachment, attach
from studio.peft.methods.bottleneck import ACTIVATIONS
from studio.peft.methods.compacter import CompacterConfig, bottleneck_width
from studio.peft.targets import default_attachment
from studio.testing.families import backbone_layers, build_backbone, random_images


def adapted(method: str = "compacter", **config: object) -> AdaptedModel:
    """On the small ViT of width 32, with random values in every tensor of the adapter."""
    attachment = default_attachment(METHODS.get(method), backbone_layers("vit"), config={"reduction": 4} | config)
    attached = attach(build_backbone("vit"), [attachment.model_copy(update={"name": "a"})], head=False)
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.normal_(std=0.5)
    return attached.eval()


def weight(state: dict[str, Tensor], path: str, which: str) -> Tensor:
    """W = sum over i of kron(A_i, s_i t_i), (in, out)."""
    rule = state["a/blocks.0.attn/adapter.down.rule"]
    s, t = state[f"a/{path}/adapter.{which}.s"], state[f"a/{path}/adapter.{which}.t"]
    return sum(torch.kron(rule[i], s[i] @ t[i]) for i in range(len(rule)))


@pytest.mark.parametrize("products", [2, 4])
@pytest.mark.parametrize("factor_rank", [1, 3])
def test_it_is_a_bottleneck_of_kronecker_products(products: int, factor_rank: int) -> None:
    attached = adapted(products=products, factor_rank=factor_rank)
    plain, state = build_backbone("vit").blocks[1], attached.state_dict()
    x = torch.randn(2, 5, 32)

    def added(path: str, h: Tensor) -> Tensor:
        low = h @ weight(state, path, "down") + state[f"a/{path}/adapter.down.bias"]
        low = 0.5 * low * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (low + 0.044715 * low**3)))
        return low @ weight(state, path, "up") + state[f"a/{path}/adapter.up.bias"]

    attention = plain.attn(plain.norm1(x))
    middle = x + attention + added("blocks.1.attn", attention)
    hidden = plain.mlp(plain.norm2(middle))
    expected = middle + hidden + added("blocks.1.mlp", hidden)
    torch.testing.assert_close(attached.module.blocks[1](x), expected, rtol=1e-4, atol=1e-4)


def test_the_rule_is_one_tensor_counted_and_saved_once() -> None:
    attached = adapted()
    assert [name for name in attached.state_dict() if name.endswith("rule")] == ["a/blocks.0.attn/adapter.down.rule"]
    rules = {id(part.rule) for part in attached.module.modules() if hasattr(part, "rule") and hasattr(part, "s")}
    assert len(rules) == 1
    width, low, n = 32, 8, 4
    per_adapter = 2 * (width + low) + low + width
    assert attached.parameter_counts().trainable_parameters == 4 * per_adapter + n**3


def test_the_rule_learns_from_every_layer() -> None:
    attached = adapted()
    rule = dict(attached.named_parameters())["a/blocks.0.attn/adapter.down.rule"]
    attached.module(random_images("vit")).sum().backward()
    everywhere = rule.grad.clone()
    attached.skip_first_blocks("a", 1)
    rule.grad = None
    attached.module(random_images("vit")).sum().backward()
    assert rule.grad.abs().max() > 0
    assert not torch.equal(rule.grad, everywhere)


def test_plus_plus_follows_the_mlp_alone() -> None:
    paths = {name.split("/")[1] for name in adapted("compacter_pp").state_dict()}
    assert paths == {"blocks.0.mlp", "blocks.1.mlp"}


def test_it_begins_near_identity() -> None:
    module = build_backbone("vit")
    plain = module(random_images("vit"))
    attach(module, [default_attachment(METHODS.get("compacter"), backbone_layers("vit"))])
    difference = (module(random_images("vit")) - plain).abs().max()
    assert 0 < difference < 1e-4


def test_widths_of_different_stages_share_the_rule() -> None:
    attached = attach(
        build_backbone("swin"), [default_attachment(METHODS.get("compacter"), backbone_layers("swin"))], head=False
    )
    assert len([name for name in attached.state_dict() if name.endswith("rule")]) == 1


@pytest.mark.parametrize(("width", "n", "expected"), [(768, 4, 24), (192, 4, 4), (16, 4, 4), (1408, 8, 40)])
def test_the_bottleneck_is_a_multiple_of_the_products(width: int, n: int, expected: int) -> None:
    assert bottleneck_width(width, CompacterConfig(products=n)) == expected


def test_a_width_that_cannot_be_divided_is_refused() -> None:
    attachment = Attachment(name="a", method="compacter", at=("blocks.*.mlp",), config={"products": 5})
    with pytest.raises(StudioError, match="32 of this layer is not divisible by products = 5"):
        attach(build_backbone("vit"), [attachment])


def test_norms_train_where_it_is_wanted() -> None:
    attached = adapted(train_norms=True)
    norms = {name for name in attached.state_dict() if "norm" in name}
    assert norms == {f"a/blocks.{i}.norm{k}/{what}" for i in (0, 1) for k in (1, 2) for what in ("weight", "bias")}


def test_gelu_is_the_papers() -> None:
    x = torch.linspace(-3, 3, 31)
    assert torch.equal(ACTIVATIONS["gelu_tanh"](x), functional.gelu(x, approximate="tanh"))
    torch.testing.assert_close(ACTIVATIONS["quick_gelu"](x), x / (1 + torch.exp(-1.702 * x)))
