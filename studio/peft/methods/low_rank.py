"""Low-rank updates of a weight: LoRA.

LoRA: Hu et al. 2021, https://arxiv.org/abs/2106.09685. LoRA+: Hayou et al. 2024, https://arxiv.org/abs/2402.12354.
"""

import math
from typing import Literal

import torch
from pydantic import Field
from timm.layers import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn

from studio.core.layers import Layer, Role
from studio.peft.contract import AdaptedLayer, DefaultSites, Method, MethodConfig, Site, register, slice_rows


class LoRAConfig(MethodConfig):
    """Fields of LoRA."""

    rank: int = Field(8, ge=1, le=1024, description="r, the rank of the update: more learns more and weighs more")
    alpha: float = Field(8.0, gt=0, le=4096, description="the update is scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the input of A while training")
    init: Literal["kaiming", "gaussian"] = Field("kaiming", description="how A begins; B begins at zero")
    plus_ratio: float = Field(
        1.0, ge=1, le=64, description="LoRA+: B learns this many times faster than A; 16 is usual"
    )


class LowRankLayer(AdaptedLayer):
    """y = base(x) + scale B A dropout(x): what linear layers and convolutions have in common.

    ``lora_A`` projects to the rank, ``lora_B`` back, beginning at zero so that nothing changes at first.
    """

    lora_A: nn.Parameter
    lora_B: nn.Parameter

    def __init__(self, base: nn.Module, config: LoRAConfig, scale: float) -> None:
        super().__init__(base)
        self.scale = scale
        self.dropout = nn.Dropout(config.dropout)

    def _begin(self, config: LoRAConfig) -> None:
        if config.init == "kaiming":
            nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        else:
            nn.init.normal_(self.lora_A, std=1 / config.rank)
        nn.init.zeros_(self.lora_B)

    def delta(self) -> Tensor:
        """The update of the weight, scale B A, in the weight's shape."""
        raise NotImplementedError

    def merged(self, base: nn.Module) -> nn.Module:
        """The plain layer with the update added to its weight."""
        weight = base.weight
        assert isinstance(weight, nn.Parameter)
        base.weight = nn.Parameter(weight.detach() + self.delta().to(weight.dtype), requires_grad=False)
        return base


class LoRALinear(LowRankLayer):
    """LoRA on a linear layer, or on some of the q, k, v rows of a fused one.

    With ``rows`` (ranges of output rows, n of them) each range has an A and a B of its own: ``lora_A`` is (n rank, in)
    and ``lora_B`` (rows in all ranges, rank). Without, (rank, in) and (out, rank).
    """

    def __init__(self, base: nn.Module, config: LoRAConfig, scale: float, site: Site[LoRAConfig]) -> None:
        super().__init__(base, config, scale)
        out_features, in_features = site.layer.shape
        self.rank, self.out_features = config.rank, out_features
        self.rows = slice_rows(site.layer, site.slices)
        ranges = self.rows or [(0, out_features)]
        self.lora_A = nn.Parameter(torch.empty(len(ranges) * config.rank, in_features, **site.factory))
        self.lora_B = nn.Parameter(
            torch.empty(sum(stop - start for start, stop in ranges), config.rank, **site.factory)
        )
        self._begin(config)

    def full_B(self) -> Tensor:
        """B over all output rows, (out, n rank): a block for each range, zero elsewhere."""
        if not self.rows:
            return self.lora_B
        full = self.lora_B.new_zeros(self.out_features, len(self.lora_A))
        blocks = self.lora_B.split([stop - start for start, stop in self.rows])
        for i, ((start, stop), block) in enumerate(zip(self.rows, blocks, strict=True)):
            full[start:stop, i * self.rank : (i + 1) * self.rank] = block
        return full

    def adapted(self, x: Tensor) -> Tensor:
        """x (..., in) to (..., out).

        One addmm adds the update to the layer's output without an intermediate of its size.
        """
        y = self.base(x)
        low = nn.functional.linear(self.dropout(x), self.lora_A)
        added = torch.addmm(y.flatten(0, -2), low.flatten(0, -2), self.full_B().t(), alpha=self.scale)
        return added.view(y.shape)

    def delta(self) -> Tensor:
        """scale B A, (out, in)."""
        return self.scale * (self.full_B().detach().float() @ self.lora_A.detach().float())


class LoRAConv2d(LowRankLayer):
    """LoRA on a convolution.

    A is a convolution to ``rank`` channels with the layer's own geometry, B a 1x1 convolution.

    ``lora_A`` is (rank, in / groups, height, width), ``lora_B`` (out, rank / groups, 1, 1), as HF peft stores them.
    """

    def __init__(self, base: nn.Module, config: LoRAConfig, scale: float, site: Site[LoRAConfig]) -> None:
        super().__init__(base, config, scale)
        out, in_per_group, height, width = site.layer.shape
        self.groups = site.layer.groups
        self.lora_A = nn.Parameter(torch.empty(config.rank, in_per_group, height, width, **site.factory))
        self.lora_B = nn.Parameter(torch.empty(out, config.rank // self.groups, 1, 1, **site.factory))
        self._begin(config)

    def adapted(self, x: Tensor) -> Tensor:
        """x (N, in, H, W) to (N, out, H', W')."""
        plain = self.plain
        assert isinstance(plain, nn.Conv2d)
        padded = self.dropout(x)
        if isinstance(plain, Conv2dSame):
            padded = pad_same(padded, plain.kernel_size, plain.stride, plain.dilation)
        low = plain._conv_forward(padded, self.lora_A, None)
        return self.base(x) + self.scale * nn.functional.conv2d(low, self.lora_B, groups=self.groups)

    def delta(self) -> Tensor:
        """scale times the sum over the rank of B's columns and A's kernels, (out, in / groups, height, width)."""
        a = self.lora_A.detach().float().unflatten(0, (self.groups, -1))
        b = self.lora_B.detach().float().flatten(1).unflatten(0, (self.groups, -1))
        return self.scale * torch.einsum("gor,grihw->goihw", b, a).flatten(0, 1)


@register
class LoRA(Method[LoRAConfig]):
    """Low-Rank Adaptation."""

    name = "lora"
    label = "LoRA"
    family = "low rank"
    summary = "Adds a trainable low-rank matrix to a frozen weight. Merges into it, so it costs nothing afterwards."
    paper = "Hu et al. 2021, https://arxiv.org/abs/2106.09685"
    Config = LoRAConfig
    default_sites = (
        DefaultSites((Role.QKV,), ("q", "v")),
        DefaultSites((Role.Q, Role.V)),
        DefaultSites((Role.FC1, Role.FC2)),
        DefaultSites((Role.CONV,)),
    )
    learning_rate = 2e-3

    def refuses(self, layer: Layer, config: LoRAConfig, slices: tuple[str, ...]) -> str:
        """Linear layers and convolutions; in a grouped one each group needs a part of the rank."""
        if layer.kind not in ("linear", "conv2d"):
            return f"{self.label} needs a plain linear or convolution layer; this is a {layer.type}."
        if layer.kind == "conv2d" and layer.groups == layer.shape[0] > 1:
            return "A depthwise convolution has one input channel for each output, so there is no rank to reduce."
        if config.rank % layer.groups and layer.groups > 1:
            return f"The rank must be a multiple of this convolution's {layer.groups} groups."
        return ""

    def attach(self, site: Site[LoRAConfig]) -> None:
        """Replace the layer by itself plus the low-rank update."""
        layer = LoRALinear if site.layer.kind == "linear" else LoRAConv2d
        site.replace(lambda base: layer(base, site.config, self.scale(site.config), site))

    def scale(self, config: LoRAConfig) -> float:
        """The factor on B A."""
        return config.alpha / config.rank

    def badge(self, config: LoRAConfig) -> str:
        """The rank."""
        return f"r{config.rank}"

    def rate_scale(self, tensor: str, config: LoRAConfig) -> float:
        """LoRA+: B learns faster than A."""
        return config.plus_ratio if tensor == "lora_B" else 1.0
