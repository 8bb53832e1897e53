"""LoRA and rsLoRA: low-rank updates of a weight.

LoRA: Hu et al. 2021, https://arxiv.org/abs/2106.09685. rsLoRA: Kalajdzievski 2023, https://arxiv.org/abs/2312.03732.
LoRA+: Hayou et al. 2024, https://arxiv.org/abs/2402.12354.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeVar, cast

import torch
from pydantic import Field
from timm.layers import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn

from studio.core.layers import Layer, Role
from studio.core.messages import N_
from studio.peft.contract import AdaptedLayer, AttachmentSite, DefaultSites, Method, MethodConfig, register, slice_rows
from studio.peft.hf.lora import LoRAForm
from studio.peft.method_info import MethodInfo


class LowRankConfig(MethodConfig):
    """Fields of every low-rank method."""

    rank: int = Field(
        8, ge=1, le=1024, title=N_("Rank"), description=N_("rank r of the update; a larger one has more parameters")
    )
    alpha: float = Field(8.0, gt=0, le=4096, title=N_("Alpha"), description=N_("the update is scaled by alpha / rank"))
    dropout: float = Field(
        0.0, ge=0, lt=1, title=N_("Dropout"), description=N_("dropout rate on the input of A; 0 disables it")
    )
    plus_ratio: float = Field(
        1.0,
        ge=1,
        le=64,
        title=N_("LoRA+ ratio"),
        description=N_("learning rate of B relative to A (LoRA+), usually 16; 1 disables it"),
    )


class LoRAConfig(LowRankConfig):
    """Fields of LoRA."""

    init: Literal["kaiming", "gaussian"] = Field(
        "kaiming", title=N_("Initialization"), description=N_("initialization of A; B is zero at first")
    )


class RSLoRAConfig(LoRAConfig):
    """Fields of rsLoRA."""

    alpha: float = Field(
        8.0, gt=0, le=4096, title=N_("Alpha"), description=N_("the update is scaled by alpha / sqrt(rank)")
    )


class LowRankLayer(AdaptedLayer):
    """y = base(x) + scale B A dropout(x), common to linear layers and convolutions.

    ``lora_A`` projects down to the rank, ``lora_B`` up again; B is zero at first, so that the output is unchanged.
    ``rows`` are the adapted ranges of output rows; empty means all.
    """

    lora_A: nn.Parameter
    lora_B: nn.Parameter

    def __init__(self, base: nn.Module, config: LowRankConfig, scale: float, site: AttachmentSite[Any]) -> None:
        super().__init__(base)
        self.rank, self.scale = config.rank, scale
        self.out_features, self.groups = site.layer.shape[0], site.layer.groups
        self.rows = slice_rows(site.layer, site.slices)
        self.dropout = nn.Dropout(config.dropout)

    def _reset_parameters(self, config: Any) -> None:
        if config.init == "kaiming":
            nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        else:
            nn.init.normal_(self.lora_A, std=1 / config.rank)
        nn.init.zeros_(self.lora_B)

    def lora_factors(self) -> tuple[Tensor, Tensor]:
        """Return A and B over all rows of the weight; the update is ``scale`` B A."""
        return self.lora_A, self.expand_rows(self.lora_B)

    def expand_rows(self, b: Tensor) -> Tensor:
        """Expand a tensor of ``lora_B``'s shape to all rows: one block of columns for each range, zero elsewhere."""
        if not self.rows:
            return b
        blocks = b.split([stop - start for start, stop in self.rows])
        full = b.new_zeros(self.out_features, len(blocks) * self.rank)
        for i, ((start, stop), block) in enumerate(zip(self.rows, blocks, strict=True)):
            full[start:stop, i * self.rank : (i + 1) * self.rank] = block
        return full

    def delta_weight(self) -> Tensor:
        """Return the update of the weight, scale B A, in float32 and the weight's shape."""
        raise NotImplementedError

    def merged_weight(self, weight: Tensor) -> Tensor:
        """Return ``weight``, that of the layer below, with the update added."""
        return weight.detach() + self.delta_weight().to(weight.dtype)

    def peft_magnitude(self) -> Tensor | None:
        """Return DoRA's row norms of the adapted rows, (rows,), for HF peft; None for other methods."""
        return None

    def merged_module(self, base: nn.Module) -> nn.Module:
        """Add the update to the weight of the plain layer."""
        base.weight = nn.Parameter(self.merged_weight(cast(Tensor, base.weight)), requires_grad=False)
        return base


class LoRALinear(LowRankLayer):
    """LoRA on a linear layer, or on some of the q, k, v rows of a fused one.

    With n ranges of output rows (``rows``), each range has its own A and B: ``lora_A`` is (n rank, in) and ``lora_B``
    (rows in all ranges, rank). Without, they are (rank, in) and (out, rank).
    """

    def __init__(self, base: nn.Module, config: LowRankConfig, scale: float, site: AttachmentSite[Any]) -> None:
        super().__init__(base, config, scale, site)
        ranges = self.rows or [(0, self.out_features)]
        in_features = site.layer.shape[1]
        self.lora_A = nn.Parameter(torch.empty(len(ranges) * config.rank, in_features, **site.factory_kwargs))
        self.lora_B = nn.Parameter(torch.empty(sum(b - a for a, b in ranges), config.rank, **site.factory_kwargs))
        self._reset_parameters(config)

    def forward_adapted(self, x: Tensor) -> Tensor:
        """Map x (..., in) to (..., out).

        The output of the backbone's own layer is a new tensor with no other user, so the update is added in place.
        """
        a, b = self.lora_factors()
        if isinstance(self.base_layer, AdaptedLayer):
            return self.add_update(self.base_layer(x), x, a, b)
        flat = x.flatten(0, -2)
        y = self.base_layer(flat)
        low = nn.functional.linear(self.dropout(flat), a)
        y.addmm_(low.to(y.dtype), _transposed(b).to(y.dtype), alpha=self.scale)
        return y.unflatten(0, x.shape[:-1])

    def add_update(self, y: Tensor, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Return y (..., out) + scale b a dropout(x), with one addmm and no intermediate of the output's size."""
        low = nn.functional.linear(self.dropout(x), a).flatten(0, -2)
        return torch.addmm(y.flatten(0, -2), low, _transposed(b), alpha=self.scale).view(y.shape)

    def delta_weight(self) -> Tensor:
        """Return scale B A, (out, in)."""
        a, b = self.lora_factors()
        return self.scale * (b.detach().float() @ a.detach().float())


def _transposed(b: Tensor) -> Tensor:
    """Return the contiguous transpose of b, with which the backward pass is several times faster on a CPU."""
    return b.t().contiguous()


class LoRAConv2d(LowRankLayer):
    """LoRA on a convolution: A has the layer's geometry and ``rank`` output channels, B is a 1x1 convolution.

    ``lora_A`` is (rank, in / groups, height, width), ``lora_B`` (out, rank / groups, 1, 1), as HF peft stores them.
    """

    def __init__(self, base: nn.Module, config: LowRankConfig, scale: float, site: AttachmentSite[Any]) -> None:
        super().__init__(base, config, scale, site)
        self.lora_A = nn.Parameter(torch.empty(config.rank, *site.layer.shape[1:], **site.factory_kwargs))
        self.lora_B = nn.Parameter(
            torch.empty(self.out_features, config.rank // self.groups, 1, 1, **site.factory_kwargs)
        )
        self._reset_parameters(config)

    def forward_adapted(self, x: Tensor) -> Tensor:
        """Map x (N, in, H, W) to (N, out, H', W')."""
        a, b = self.lora_factors()
        return self.base_layer(x) + self.lora_output(x, a, b * self.scale)

    def lora_output(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Return b a dropout(x), with the layer's own stride, padding, dilation and groups for a."""
        plain = self.unwrapped
        assert isinstance(plain, nn.Conv2d)
        padded = self.dropout(x)
        if isinstance(plain, Conv2dSame):
            padded = pad_same(padded, plain.kernel_size, plain.stride, plain.dilation)
        return nn.functional.conv2d(plain._conv_forward(padded, a, None), b, groups=self.groups)

    def delta_weight(self) -> Tensor:
        """Return scale times the sum over the rank of B's columns and A's kernels, in the weight's shape."""
        a, b = (factor.detach().float() for factor in self.lora_factors())
        a, b = a.unflatten(0, (self.groups, -1)), b.flatten(1).unflatten(0, (self.groups, -1))
        return self.scale * torch.einsum("gor,grihw->goihw", b, a).flatten(0, 1)


L = TypeVar("L", bound=LowRankConfig)


def unsupported_kind_reason(label: str, layer: Layer) -> str:
    """Return the reason of a method ``label`` that supports plain linear layers and convolutions only."""
    return N_("{method} needs a plain linear or convolution layer; this is a {type}.", method=label, type=layer.type)


def max_rank(layer: Layer, slices: tuple[str, ...]) -> int:
    """Return the largest possible rank of the weight of ``layer``, or of one of its slices."""
    rows = layer.shape[0] // 3 if slices and layer.slices else layer.shape[0]
    return min(rows, layer.groups * math.prod(layer.shape[1:]))


class LowRankMethod(Method[L]):
    """Base of the low-rank methods; each names its classes for linear layers and convolutions."""

    family = N_("low rank")
    info = MethodInfo(badge="r{rank}")
    peft_form = LoRAForm()
    linear: type[LowRankLayer] = LoRALinear
    conv2d: type[LowRankLayer] = LoRAConv2d
    default_sites = (
        DefaultSites((Role.QKV,), ("q", "v")),
        DefaultSites((Role.Q, Role.V)),
        DefaultSites((Role.FC1, Role.FC2)),
        DefaultSites((Role.CONV,)),
    )

    def unsupported_reason(self, layer: Layer, config: L, slices: tuple[str, ...]) -> str:
        """Support linear layers and convolutions; the groups of a convolution must divide the rank."""
        if layer.kind not in ("linear", "conv2d"):
            return unsupported_kind_reason(self.label, layer)
        if layer.kind == "conv2d" and layer.groups == layer.shape[0] > 1:
            return N_("A depthwise convolution has one input channel for each output, so there is no rank to reduce.")
        if config.rank % layer.groups:
            return N_("The rank must be a multiple of the {groups} groups of this convolution.", groups=layer.groups)
        return ""

    def attach(self, site: AttachmentSite[L]) -> None:
        """Replace the layer by itself plus the low-rank update."""
        layer = self.linear if site.layer.kind == "linear" else self.conv2d
        site.replace(lambda base: layer(base, site.config, self.scale(site.config), site))

    def scale(self, config: L) -> float:
        """Return the factor of B A."""
        return config.alpha / config.rank

    def max_values(self, sites: Sequence[Layer], slices: tuple[str, ...], layers: Sequence[Layer]) -> dict[str, int]:
        """Return the largest possible rank of an update of any of the weights."""
        return {"rank": max(max_rank(layer, slices) for layer in sites)} if sites else {}

    def lr_scale(self, tensor_name: str, config: L) -> float:
        """Return the LoRA+ ratio for B."""
        return config.plus_ratio if tensor_name == "lora_B" else 1.0


@register
class LoRA(LowRankMethod[LoRAConfig]):
    """Low-Rank Adaptation."""

    name = "lora"
    label = N_("LoRA")
    summary = N_("Adds a trainable low-rank matrix to a frozen weight. Merges, so inference costs nothing extra.")
    info = MethodInfo(
        badge="r{rank}",
        when_to_use=N_("The first method to try: accurate, with few parameters and no cost once merged."),
    )
    paper = "Hu et al. 2021, https://arxiv.org/abs/2106.09685"
    Config = LoRAConfig
    learning_rate = 5e-3


@register
class RSLoRA(LowRankMethod[RSLoRAConfig]):
    """Rank-stabilized LoRA: the update does not shrink as the rank grows."""

    name = "rslora"
    label = N_("rsLoRA")
    summary = N_("LoRA scaled so that learning does not slow down at a high rank. Merges like LoRA.")
    info = MethodInfo(badge="r{rank}", when_to_use=N_("LoRA with a rank of 32 or more."))
    paper = "Kalajdzievski 2023, https://arxiv.org/abs/2312.03732"
    Config = RSLoRAConfig
    learning_rate = 1e-3

    def scale(self, config: RSLoRAConfig) -> float:
        """Return alpha over the square root of the rank."""
        return config.alpha / math.sqrt(config.rank)
