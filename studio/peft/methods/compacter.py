"""Compacter: bottleneck adapters whose matrices are sums of Kronecker products with factors shared by all layers.

Karimi Mahabadi et al. 2021, https://arxiv.org/abs/2106.04647. Parametrised hypercomplex multiplication (PHM): Zhang
et al. 2021, https://arxiv.org/abs/2102.08597.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from studio.core.layers import Layer, Role
from studio.peft.contract import DefaultSites, register
from studio.peft.methods.bottleneck import ACTIVATIONS, Activation
from studio.peft.residual_adapter import AdapterConfig, AdapterMethod


class CompacterConfig(AdapterConfig):
    """Fields of Compacter."""

    products: int = Field(4, ge=1, le=64, description="n, the number of Kronecker products; divides the layers' width")
    factor_rank: int = Field(1, ge=1, le=64, description="k, the rank of the factors that each layer has of its own")
    reduction: int = Field(32, ge=1, le=1024, description="the bottleneck is the layer's width divided by this")
    activation: Activation = Field("gelu_tanh", description="the activation in the bottleneck")
    train_norms: bool = Field(False, description="train the normalisation in front of the layer too, as the paper does")


def bottleneck_width(width: int, config: CompacterConfig) -> int:
    """The width of the bottleneck: at least n, and a multiple of it."""
    return max(width // config.reduction // config.products, 1) * config.products


class PHMLinear(nn.Module):
    """x W + b with W = sum over i of A_i (x) (s_i t_i), (in, out): n Kronecker products.

    ``rule`` holds the A_i, (n, n, n); it is shared by all layers. ``s`` is (n, in / n, k) and ``t`` (n, k, out / n).
    """

    def __init__(self, rule: nn.Parameter, widths: tuple[int, int], rank: int, factory_kwargs: dict[str, Any]) -> None:
        super().__init__()
        n = len(rule)
        inside, outside = widths
        self.rule = rule
        self.s = nn.Parameter(torch.empty(n, inside // n, rank, **factory_kwargs))
        self.t = nn.Parameter(torch.empty(n, rank, outside // n, **factory_kwargs))
        self.bias = nn.Parameter(torch.zeros(outside, **factory_kwargs))
        for factor in () if rule.is_meta else (*self.s.unbind(), *self.t.unbind()):  # counting needs no values
            nn.init.xavier_uniform_(factor)

    def weight(self) -> Tensor:
        """W, (in, out)."""
        own = self.s @ self.t
        return torch.einsum("iab,icd->acbd", self.rule, own).flatten(2, 3).flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, ..., in) to (N, ..., out)."""
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
        """What is added to ``output``, from x (N, ..., D)."""
        return self.up(ACTIVATIONS[self.activation](self.down(x)))


class CompacterMethod(AdapterMethod[CompacterConfig]):
    """h + up(activation(down(h))), with h what the sub-layer gives."""

    Config = CompacterConfig
    paper = "Karimi Mahabadi et al. 2021, https://arxiv.org/abs/2106.04647"
    identity_at_init = False
    learning_rate = 3e-3

    def unsupported_reason(self, layer: Layer, config: CompacterConfig, slices: tuple[str, ...]) -> str:
        """Attention and MLP layers whose width n divides."""
        refusal = super().unsupported_reason(layer, config, slices)
        if not refusal and layer.width % config.products:
            return f"Its {layer.width} features cannot be divided by products = {config.products}; choose a divisor."
        return refusal

    def build_adapter(
        self, width: int, config: CompacterConfig, factory_kwargs: dict[str, Any], shared: dict[str, Any]
    ) -> nn.Module:
        """A bottleneck of PHM layers; the first layer's rule is everyone's."""
        if "rule" not in shared:
            n = config.products
            shared["rule"] = nn.Parameter(torch.empty(n, n, n, **factory_kwargs))
            nn.init.normal_(shared["rule"], std=1e-4)
        return CompactBottleneck(width, config, factory_kwargs, shared["rule"])

    def trains_norms(self, config: CompacterConfig) -> bool:
        """As the field says."""
        return config.train_norms

    def short_text(self, config: CompacterConfig) -> str:
        """The number of products."""
        return f"n{config.products}"


@register
class Compacter(CompacterMethod):
    """One adapter after the attention and one after the MLP."""

    name = "compacter"
    label = "Compacter"
    summary = "Houlsby's adapters from Kronecker products with shared factors: a fifth of the weights and fewer."
    when_to_use = "Adapters where every kilobyte of the file counts."
    default_sites = (DefaultSites((Role.ATTENTION, Role.MLP)),)


@register
class CompacterPlusPlus(CompacterMethod):
    """One adapter in each block, after the MLP."""

    name = "compacter_pp"
    label = "Compacter++"
    summary = "Compacter after the MLP only: half of its weights, nearly as good."
    when_to_use = "As Compacter with half of its weights."
    default_sites = (DefaultSites((Role.MLP,)),)
