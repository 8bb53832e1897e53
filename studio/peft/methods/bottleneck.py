"""Bottleneck adapters: a down projection to r features, an activation, and an up projection.

Houlsby et al. 2019, https://arxiv.org/abs/1902.00751. Pfeiffer et al. 2021, https://arxiv.org/abs/2005.00247.
Parallel: He et al. 2022, https://arxiv.org/abs/2110.04366. AdaptFormer: Chen et al. 2022, https://arxiv.org/abs/2205.13535.
Adapter+: Steitz and Roth 2024, https://arxiv.org/abs/2406.06820.
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
from studio.core.messages import N_
from studio.peft.contract import DefaultSites, register
from studio.peft.method_info import MethodInfo
from studio.peft.residual_adapter import AdapterConfig, AdapterMethod, InputSource

Activation = Literal["relu", "gelu", "gelu_tanh", "quick_gelu", "silu"]


def quick_gelu(x: Tensor) -> Tensor:
    """Return x sigmoid(1.702 x), CLIP's approximation of GELU."""
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

    bottleneck: int = Field(
        64, ge=1, le=4096, title=N_("Bottleneck"), description=N_("width r of the bottleneck, in features")
    )
    activation: Activation = Field(
        "relu", title=N_("Activation"), description=N_("activation function in the bottleneck")
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, title=N_("Dropout"), description=N_("dropout rate in the bottleneck; 0 disables it")
    )
    init: Literal["zero", "small"] = Field(
        "zero",
        title=N_("Initialization"),
        description=N_("zero: the up projection is zero, so the output is unchanged at first; small: both near zero"),
    )


class SerialConfig(BottleneckConfig):
    """Fields of serial adapters."""

    train_norms: bool = Field(
        False, title=N_("Train norms"), description=N_("also train the normalization before the layer, as in the paper")
    )


class HoulsbyConfig(SerialConfig):
    """Fields of the Houlsby adapter."""

    activation: Activation = Field(
        "gelu", title=N_("Activation"), description=N_("activation function in the bottleneck")
    )


class ParallelConfig(BottleneckConfig):
    """Fields of the parallel adapter."""

    scale: float = Field(4.0, gt=0, le=1000, title=N_("Scale"), description=N_("factor s of the adapter's output"))
    learn_scale: bool = Field(False, title=N_("Train scale"), description=N_("also train s"))


class AdaptFormerConfig(ParallelConfig):
    """Fields of AdaptFormer."""

    scale: float = Field(0.1, gt=0, le=1000, title=N_("Scale"), description=N_("factor s of the adapter's output"))
    dropout: float = Field(
        0.1, ge=0, lt=1, title=N_("Dropout"), description=N_("dropout rate in the bottleneck; 0 disables it")
    )
    norm: Literal["none", "own", "shared"] = Field(
        "none",
        title=N_("Input norm"),
        description=N_(
            "normalization of the adapter's input: none (the authors' code), an own LayerNorm, "
            "or the MLP's, shared (the paper)"
        ),
    )


class AdapterPlusConfig(BottleneckConfig):
    """Fields of Adapter+."""

    bottleneck: int = Field(
        8, ge=1, le=4096, title=N_("Bottleneck"), description=N_("width r of the bottleneck, in features")
    )
    activation: Activation = Field(
        "gelu", title=N_("Activation"), description=N_("activation function in the bottleneck")
    )
    init: Literal["zero", "small"] = Field(
        "small",
        title=N_("Initialization"),
        description=N_("small: both projections near zero; zero: the up projection is zero"),
    )
    drop_path: float = Field(
        0.1,
        ge=0,
        lt=1,
        title=N_("Drop path"),
        description=N_("probability of skipping the adapter for an image in training; 0 disables it"),
    )


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
        """Return the addition to ``output``, from x (N, ..., D)."""
        low = self.dropout(ACTIVATIONS[self.activation](self.down(self.norm(x))))
        return self.drop_path(self.up(low)) * self.scale


def init_adapter(down: nn.Linear, up: nn.Linear, init: str) -> None:
    """Initialize like Houlsby (truncated normal, 0.01), or like LoRA (exactly zero output)."""
    if down.weight.is_meta:  # no values needed for counting
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
    """Base of the bottleneck methods."""

    info = MethodInfo(badge="r{bottleneck}")

    def build_adapter(self, width: int, config: B, factory_kwargs: dict[str, Any], shared: dict[str, Any]) -> nn.Module:
        """Return a bottleneck."""
        return Bottleneck(width, config, factory_kwargs)


class SerialMethod(BottleneckMethod[SerialConfig]):
    """h + up(activation(down(h))), with h the output of the sub-layer."""

    Config = SerialConfig

    def trains_norms(self, config: SerialConfig) -> bool:
        """Return the field."""
        return config.train_norms


@register
class Houlsby(SerialMethod):
    """One adapter after the attention and one after the MLP."""

    name = "houlsby"
    label = N_("Houlsby adapter")
    summary = N_("Adds a small network after each attention and each MLP. Accurate, with two adapters in each block.")
    info = MethodInfo(
        badge="r{bottleneck}",
        when_to_use=N_("Difficult tasks, if inference may take longer: it is the largest of the adapters."),
    )
    paper = "Houlsby et al. 2019, https://arxiv.org/abs/1902.00751"
    Config = HoulsbyConfig
    default_sites = (DefaultSites((Role.ATTENTION, Role.MLP)),)


@register
class Pfeiffer(SerialMethod):
    """One adapter in each block, after the MLP."""

    name = "pfeiffer"
    label = N_("Pfeiffer adapter")
    summary = N_("Adds a small network after each MLP: half the parameters of Houlsby's, with similar accuracy.")
    info = MethodInfo(
        badge="r{bottleneck}",
        when_to_use=N_("The first adapter to try, and the one that AdapterFusion combines."),
    )
    paper = "Pfeiffer et al. 2021, https://arxiv.org/abs/2005.00247"
    default_sites = (DefaultSites((Role.MLP,)),)


@register
class AdapterPlus(BottleneckMethod[AdapterPlusConfig]):
    """One adapter after each whole block, with a trained scale for each channel and stochastic depth."""

    name = "adapter_plus"
    label = N_("Adapter+")
    summary = N_("Adds a small network after each block, with a scale for each channel. Accurate with few parameters.")
    info = MethodInfo(badge="r{bottleneck}", when_to_use=N_("Small adapters, for many tasks on one backbone."))
    paper = "Steitz and Roth 2024, https://arxiv.org/abs/2406.06820"
    Config = AdapterPlusConfig
    roles = (Role.BLOCK, Role.ATTENTION, Role.MLP)
    default_sites = (DefaultSites((Role.BLOCK,)),)
    identity_at_init = False

    def build_adapter(
        self, width: int, config: AdapterPlusConfig, factory_kwargs: dict[str, Any], shared: dict[str, Any]
    ) -> nn.Module:
        """Return a bottleneck with a scale for each channel, 1 at first."""
        network = Bottleneck(width, config, factory_kwargs, nn.Parameter(torch.ones(width, **factory_kwargs)))
        network.drop_path = DropPath(config.drop_path)
        return network


P = TypeVar("P", bound=ParallelConfig)


class ParallelMethod(BottleneckMethod[P]):
    """f(x) + s up(activation(down(x))), with f the sub-layer."""

    def build_adapter(self, width: int, config: P, factory_kwargs: dict[str, Any], shared: dict[str, Any]) -> nn.Module:
        """Return a bottleneck with a constant or trainable scale."""
        learned = nn.Parameter(torch.full((1,), config.scale, **factory_kwargs)) if config.learn_scale else config.scale
        return Bottleneck(width, config, factory_kwargs, learned)

    def input_source(self, config: P) -> InputSource:
        """Return the input of the sub-layer."""
        return "input"


@register
class Parallel(ParallelMethod[ParallelConfig]):
    """One adapter beside each MLP; with s = 4 it is the scaled parallel adapter."""

    name = "parallel"
    label = N_("Parallel adapter")
    summary = N_("Adds a small network beside each MLP instead of after it; both can run at the same time.")
    info = MethodInfo(
        badge="r{bottleneck}",
        diagram="parallel",
        when_to_use=N_("Like Pfeiffer, if the network must not become deeper."),
    )
    paper = "He et al. 2022, https://arxiv.org/abs/2110.04366"
    Config = ParallelConfig
    default_sites = (DefaultSites((Role.MLP,)),)


@register
class AdaptFormer(ParallelMethod[AdaptFormerConfig]):
    """One adapter beside each block's normalization and MLP, with a small scale."""

    name = "adaptformer"
    label = N_("AdaptFormer")
    summary = N_("Adds a small network beside each MLP, with a small scale; designed for vision transformers.")
    info = MethodInfo(
        badge="r{bottleneck}",
        diagram="parallel",
        when_to_use=N_("Vision transformers, for tasks that differ much from the pretraining."),
    )
    paper = "Chen et al. 2022, https://arxiv.org/abs/2205.13535"
    Config = AdaptFormerConfig
    roles = (Role.MLP,)
    default_sites = (DefaultSites((Role.MLP,)),)

    def build_adapter(
        self, width: int, config: AdaptFormerConfig, factory_kwargs: dict[str, Any], shared: dict[str, Any]
    ) -> nn.Module:
        """Return a bottleneck, with its own LayerNorm if ``norm`` is own."""
        network = super().build_adapter(width, config, factory_kwargs, shared)
        if config.norm == "own":
            network.norm = nn.LayerNorm(width, **factory_kwargs)
        return network

    def input_source(self, config: AdaptFormerConfig) -> InputSource:
        """Return the input of the MLP if ``norm`` is shared, else the residual stream."""
        return "input" if config.norm == "shared" else "stream"
