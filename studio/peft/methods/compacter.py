"""Compacter: bottleneck adapters of Kronecker products with factors shared by all layers.

Karimi Mahabadi et al. 2021, https://arxiv.org/abs/2106.04647. Parameterized hypercomplex multiplication (PHM): Zhang
et al. 2021, https://arxiv.org/abs/2102.08597.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from studio.core.layers import Layer, Role
from studio.core.messages import N_
from studio.peft.contract import DefaultSites, register
from studio.peft.method_info import MethodInfo
from studio.peft.methods.bottleneck import ACTIVATIONS, Activation
from studio.peft.residual_adapter import AdapterConfig, AdapterMethod


class CompacterConfig(AdapterConfig):
    """Fields of Compacter."""

    products: int = Field(
        4,
        ge=1,
        le=64,
        title=N_("Products"),
        description=N_("number n of Kronecker products, a divisor of the token width"),
    )
    factor_rank: int = Field(
        1, ge=1, le=64, title=N_("Factor rank"), description=N_("rank k of the factors of each layer")
    )
    reduction: int = Field(
        32, ge=1, le=1024, title=N_("Reduction"), description=N_("token width divided by the width of the bottleneck")
    )
    activation: Activation = Field(
        "gelu_tanh", title=N_("Activation"), description=N_("activation function in the bottleneck")
    )
    train_norms: bool = Field(
        False, title=N_("Train norms"), description=N_("also train the normalization before the layer, as in the paper")
    )


def bottleneck_width(width: int, config: CompacterConfig) -> int:
    """Return the width of the bottleneck, a positive multiple of n."""
    return max(width // config.reduction // config.products, 1) * config.products


class PHMLinear(nn.Module):
    """x W + b with W = sum over i of A_i (x) (s_i t_i), (in, out): n Kronecker products.

    ``rule``, shared by all layers, contains the A_i, (n, n, n). ``s`` is (n, in / n, k) and ``t`` (n, k, out / n).
    """

    def __init__(self, rule: nn.Parameter, widths: tuple[int, int], rank: int, factory_kwargs: dict[str, Any]) -> None:
        super().__init__()
        n = len(rule)
        inside, outside = widths
        self.rule = rule
        self.s = nn.Parameter(torch.empty(n, inside // n, rank, **factory_kwargs))
        self.t = nn.Parameter(torch.empty(n, rank, outside // n, **factory_kwargs))
        self.bias = nn.Parameter(torch.zeros(outside, **factory_kwargs))
        for factor in () if rule.is_meta else (*self.s.unbind(), *self.t.unbind()):  # no values needed for counting
            nn.init.xavier_uniform_(factor)

    def weight(self) -> Tensor:
        """Return W, (in, out)."""
        own = self.s @ self.t
        return torch.einsum("iab,icd->acbd", self.rule, own).flatten(2, 3).flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, ..., in) to (N, ..., out)."""
        return nn.functional.linear(x, self.weight().t(), self.bias)


class CompactBottleneck(nn.Module):
    """up(activation(down(x))) with PHM layers."""

    def __init__(self, width: int, config: CompacterConfig, factory_kwargs: dict[str, Any], rule: nn.Parameter) -> None:
        super().__init__()
        low = bottleneck_width(width, config)
        self.down = PHMLinear(rule, (width, low), config.factor_rank, factory_kwargs)
        self.activation = config.activation
        self.up = PHMLinear(rule, (low, width), config.factor_rank, factory_kwargs)

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        """Return the addition to ``output``, from x (N, ..., D)."""
        return self.up(ACTIVATIONS[self.activation](self.down(x)))


class CompacterMethod(AdapterMethod[CompacterConfig]):
    """h + up(activation(down(h))), with h the output of the sub-layer."""

    Config = CompacterConfig
    info = MethodInfo(badge="n{products}")
    paper = "Karimi Mahabadi et al. 2021, https://arxiv.org/abs/2106.04647"
    identity_at_init = False
    learning_rate = 3e-3

    def unsupported_reason(self, layer: Layer, config: CompacterConfig, slices: tuple[str, ...]) -> str:
        """Support attention and MLP layers whose token width is a multiple of n."""
        reason = super().unsupported_reason(layer, config, slices)
        if not reason and layer.width % config.products:
            return N_(
                "The token width {width} of this layer is not divisible by products = {products}.",
                width=layer.width,
                products=config.products,
            )
        return reason

    def build_adapter(
        self, width: int, config: CompacterConfig, factory_kwargs: dict[str, Any], shared: dict[str, Any]
    ) -> nn.Module:
        """Return a bottleneck of PHM layers; all layers share the rule of the first."""
        if "rule" not in shared:
            n = config.products
            shared["rule"] = nn.Parameter(torch.empty(n, n, n, **factory_kwargs))
            nn.init.normal_(shared["rule"], std=1e-4)
        return CompactBottleneck(width, config, factory_kwargs, shared["rule"])

    def trains_norms(self, config: CompacterConfig) -> bool:
        """Return the field."""
        return config.train_norms


@register
class Compacter(CompacterMethod):
    """One adapter after the attention and one after the MLP."""

    name = "compacter"
    label = N_("Compacter")
    summary = N_("Houlsby's adapters from Kronecker products with shared factors: a fifth of the parameters or less.")
    info = MethodInfo(badge="n{products}", when_to_use=N_("Adapters with the smallest possible files."))
    default_sites = (DefaultSites((Role.ATTENTION, Role.MLP)),)


@register
class CompacterPlusPlus(CompacterMethod):
    """One adapter in each block, after the MLP."""

    name = "compacter_pp"
    label = N_("Compacter++")
    summary = N_("Compacter after the MLP only: half the parameters, with similar accuracy.")
    info = MethodInfo(badge="n{products}", when_to_use=N_("Like Compacter, with half its parameters."))
    default_sites = (DefaultSites((Role.MLP,)),)
