"""Bottleneck adapters: a projection down to r features, an activation, and a projection up again.

Houlsby et al. 2019, https://arxiv.org/abs/1902.00751. Pfeiffer et al. 2021, https://arxiv.org/abs/2005.00247.
Parallel: He et al. 2022, https://arxiv.org/abs/2110.04366. AdaptFormer: Chen et al. 2022, https://arxiv.org/abs/2205.13535.
Adapter+: Steitz and Roth 2024, https://arxiv.org/abs/2406.06820.

All of them project down first, from D features to r, and then up, from r to D.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import torch
from pydantic import Field
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn import functional

from studio.core.layers import Role
from studio.peft.contract import DefaultSites, register
from studio.peft.residual_adapter import AdapterConfig, AdapterMethod, InputSource

Activation = Literal["relu", "gelu", "gelu_tanh", "quick_gelu", "silu"]


def quick_gelu(x: Tensor) -> Tensor:
    """x sigmoid(1.702 x), the approximation that CLIP uses."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "relu": functional.relu,
        "gelu": functional.gelu,
        "gelu_tanh": partial(functional.gelu, approximate="tanh"),
        "quick_gelu": quick_gelu,
        "silu": functional.silu,
    }
)


class BottleneckConfig(AdapterConfig):
    """Fields of bottleneck adapters."""

    bottleneck: int = Field(64, ge=1, le=4096, description="r, the width that tokens are projected down to")
    activation: Activation = Field("relu", description="the activation in the bottleneck")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the bottleneck while training")
    init: Literal["zero", "small"] = Field(
        "zero", description="zero: the projection up begins at zero, so nothing changes at first; small: both near it"
    )


class SerialConfig(BottleneckConfig):
    """Fields of adapters after a sub-layer."""

    train_norms: bool = Field(False, description="train the norm in front of the layer too, as the paper does")


class HoulsbyConfig(SerialConfig):
    """Fields of Houlsby's adapter."""

    activation: Activation = Field("gelu", description="the activation in the bottleneck")


class ParallelConfig(BottleneckConfig):
    """Fields of the parallel adapter."""

    scale: float = Field(4.0, gt=0, le=1000, description="s, by which the adapter's output is multiplied")
    learn_scale: bool = Field(False, description="train s too")


class AdaptFormerConfig(ParallelConfig):
    """Fields of AdaptFormer."""

    scale: float = Field(0.1, gt=0, le=1000, description="s, by which the adapter's output is multiplied")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout in the bottleneck while training")
    norm: Literal["none", "own", "shared"] = Field(
        "none",
        description="the adapter reads the block's stream as it is (the authors' code), through its own LayerNorm, "
        "or through the MLP's (the paper)",
    )


class AdapterPlusConfig(BottleneckConfig):
    """Fields of Adapter+."""

    bottleneck: int = Field(8, ge=1, le=4096, description="r, the width that tokens are projected down to")
    activation: Activation = Field("gelu", description="the activation in the bottleneck")
    init: Literal["zero", "small"] = Field(
        "small", description="small: both projections begin near zero; zero: the projection up begins at zero"
    )
    drop_path: float = Field(0.1, ge=0, lt=1, description="how often the adapter rests for an image while training")


class Bottleneck(nn.Module):
    """scale up(dropout(activation(down(x)))), from D features to r and back: (N, ..., D) to (N, ..., D).

    ``down`` and ``up`` are linear layers with biases, ``norm`` an optional LayerNorm of x; ``scale`` is a number, or a
    parameter of one value or D.
    """

    def __init__(
        self, width: int, config: BottleneckConfig, factory_kwargs: dict[str, Any], scale: float | nn.Parameter = 1.0
    ) -> None:
        super().__init__()
        self.norm: nn.Module = nn.Identity()
        self.down = nn.Linear(width, config.bottleneck, **factory_kwargs)
        self.activation = config.activation
        self.dropout = nn.Dropout(config.dropout)
        self.up = nn.Linear(config.bottleneck, width, **factory_kwargs)
        self.drop_path: nn.Module = nn.Identity()
        self.scale = scale
        init_adapter(self.down, self.up, config.init)

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        """What is added to ``output``, from x (N, ..., D)."""
        low = self.dropout(ACTIVATIONS[self.activation](self.down(self.norm(x))))
        return self.drop_path(self.up(low)) * self.scale


def init_adapter(down: nn.Linear, up: nn.Linear, init: str) -> None:
    """Houlsby's beginning near zero (truncated normal, 0.01), or LoRA's, which is zero exactly."""
    if down.weight.is_meta:  # counting needs no values
        return
    if init == "small":
        nn.init.trunc_normal_(down.weight, std=0.01, a=-0.02, b=0.02)
        nn.init.trunc_normal_(up.weight, std=0.01, a=-0.02, b=0.02)
    else:
        nn.init.kaiming_uniform_(down.weight, a=math.sqrt(5))
        nn.init.zeros_(up.weight)
    nn.init.zeros_(down.bias)
    nn.init.zeros_(up.bias)


B = TypeVar("B", bound=BottleneckConfig)


class BottleneckMethod(AdapterMethod[B]):
    """What the methods of this file share."""

    def build_adapter(self, width: int, config: B, factory_kwargs: dict[str, Any], shared: dict[str, Any]) -> nn.Module:
        """A bottleneck."""
        return Bottleneck(width, config, factory_kwargs)

    def short_text(self, config: B) -> str:
        """The width of the bottleneck."""
        return f"r{config.bottleneck}"


class SerialMethod(BottleneckMethod[SerialConfig]):
    """h + up(activation(down(h))), with h what the sub-layer gives."""

    Config = SerialConfig

    def trains_norms(self, config: SerialConfig) -> bool:
        """As the field says."""
        return config.train_norms


@register
class Houlsby(SerialMethod):
    """One adapter after the attention and one after the MLP."""

    name = "houlsby"
    label = "Houlsby adapter"
    summary = "Puts a small network after each attention and each MLP. Learns much; two extra layers in each block."
    when_to_use = "Much to learn and some time to spare at each image: the largest of the adapters."
    paper = "Houlsby et al. 2019, https://arxiv.org/abs/1902.00751"
    Config = HoulsbyConfig
    default_sites = (DefaultSites((Role.ATTENTION, Role.MLP)),)


@register
class Pfeiffer(SerialMethod):
    """One adapter in each block, after the MLP."""

    name = "pfeiffer"
    label = "Pfeiffer adapter"
    summary = "Puts a small network after each MLP: half of Houlsby's weights, nearly as good."
    when_to_use = "A good first adapter, and the kind that AdapterFusion combines."
    paper = "Pfeiffer et al. 2021, https://arxiv.org/abs/2005.00247"
    default_sites = (DefaultSites((Role.MLP,)),)


@register
class AdapterPlus(BottleneckMethod[AdapterPlusConfig]):
    """One adapter after each block as a whole, with a learned scale for each channel and stochastic depth."""

    name = "adapter_plus"
    label = "Adapter+"
    summary = "Puts a small network after each block, with a scale for each channel. A strong choice with few weights."
    when_to_use = "An adapter that weighs little, for many tasks on one backbone."
    paper = "Steitz and Roth 2024, https://arxiv.org/abs/2406.06820"
    Config = AdapterPlusConfig
    roles = (Role.BLOCK, Role.ATTENTION, Role.MLP)
    default_sites = (DefaultSites((Role.BLOCK,)),)
    identity_at_init = False

    def build_adapter(
        self, width: int, config: AdapterPlusConfig, factory_kwargs: dict[str, Any], shared: dict[str, Any]
    ) -> nn.Module:
        """A bottleneck with a scale for each channel, ones at first."""
        network = Bottleneck(width, config, factory_kwargs, nn.Parameter(torch.ones(width, **factory_kwargs)))
        network.drop_path = DropPath(config.drop_path)
        return network


P = TypeVar("P", bound=ParallelConfig)


class ParallelMethod(BottleneckMethod[P]):
    """f(x) + s up(activation(down(x))), with f the sub-layer."""

    def build_adapter(self, width: int, config: P, factory_kwargs: dict[str, Any], shared: dict[str, Any]) -> nn.Module:
        """A bottleneck whose scale is a number or one trainable value."""
        learned = nn.Parameter(torch.full((1,), config.scale, **factory_kwargs)) if config.learn_scale else config.scale
        return Bottleneck(width, config, factory_kwargs, learned)

    def input_source(self, config: P) -> InputSource:
        """What the sub-layer takes."""
        return "input"


@register
class Parallel(ParallelMethod[ParallelConfig]):
    """One adapter beside each MLP; with s = 4 the scaled parallel adapter."""

    name = "parallel"
    label = "Parallel adapter"
    diagram = "parallel"
    summary = "Puts a small network beside each MLP rather than after it; the two can run at the same time."
    when_to_use = "As Pfeiffer, where the network's own path should stay as short as it is."
    paper = "He et al. 2022, https://arxiv.org/abs/2110.04366"
    Config = ParallelConfig
    default_sites = (DefaultSites((Role.MLP,)),)


@register
class AdaptFormer(ParallelMethod[AdaptFormerConfig]):
    """One adapter beside each block's normalisation and MLP, with a small scale."""

    name = "adaptformer"
    label = "AdaptFormer"
    diagram = "parallel"
    summary = "Puts a small network beside each MLP with a small fixed scale, made for vision transformers."
    when_to_use = "Vision transformers and tasks far from what they were trained on."
    paper = "Chen et al. 2022, https://arxiv.org/abs/2205.13535"
    Config = AdaptFormerConfig
    roles = (Role.MLP,)
    default_sites = (DefaultSites((Role.MLP,)),)

    def build_adapter(
        self, width: int, config: AdaptFormerConfig, factory_kwargs: dict[str, Any], shared: dict[str, Any]
    ) -> nn.Module:
        """A bottleneck, with a LayerNorm of its own where it is wanted."""
        network = super().build_adapter(width, config, factory_kwargs, shared)
        if config.norm == "own":
            network.norm = nn.LayerNorm(width, **factory_kwargs)
        return network

    def input_source(self, config: AdaptFormerConfig) -> InputSource:
        """The block's stream, or what the MLP takes."""
        return "input" if config.norm == "shared" else "stream"
