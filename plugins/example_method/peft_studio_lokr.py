"""LoKr: the update of a weight as a Kronecker product.

Yeh et al. 2023, https://arxiv.org/abs/2309.14859, in the form with two full factors.
"""

import math

import torch
from torch import Tensor, nn

from studio.api import (
    AdaptedLayer,
    AttachmentSite,
    DefaultSites,
    Field,
    Layer,
    Method,
    MethodConfig,
    Role,
    register_method,
)


class LoKrConfig(MethodConfig):
    """Fields of LoKr: the window's form, the command's help and the check of a recipe are made from them."""

    factor: int = Field(4, ge=2, le=64, description="size of the small factor: larger trains fewer parameters")
    scale: float = Field(1.0, gt=0, le=64, description="the update is multiplied by this")


class LoKrLinear(AdaptedLayer):
    """y = base(x) + scale (C ⊗ B) x, with C (factor, factor) and B (out / factor, in / factor).

    C begins at zero, so nothing changes at first.
    """

    def __init__(self, base: nn.Module, site: AttachmentSite[LoKrConfig]) -> None:
        super().__init__(base)
        out_features, in_features = site.layer.shape
        factor = site.config.factor
        self.scale = site.config.scale
        self.C = nn.Parameter(torch.zeros(factor, factor, **site.factory_kwargs))
        self.B = nn.Parameter(torch.empty(out_features // factor, in_features // factor, **site.factory_kwargs))
        nn.init.kaiming_uniform_(self.B, a=math.sqrt(5))

    def forward_adapted(self, x: Tensor) -> Tensor:
        """x (..., in) to (..., out), without building the product."""
        parts = x.unflatten(-1, (len(self.C), -1))
        return self.base_layer(x) + self.scale * (self.C @ (parts @ self.B.T)).flatten(-2)

    def merged_module(self, base: nn.Module) -> nn.Module:
        """The plain layer with the product added to its weight."""
        update = self.scale * torch.kron(self.C.detach(), self.B.detach())
        base.weight = nn.Parameter(base.weight.detach() + update, requires_grad=False)
        return base


@register_method
class LoKr(Method[LoKrConfig]):
    """Low-rank adaptation with a Kronecker product in the place of B A."""

    name = "lokr"
    label = "LoKr"
    family = "low rank"
    summary = "Adds a Kronecker product of two small matrices to a frozen weight. Merges into it."
    paper = "Yeh et al. 2023, https://arxiv.org/abs/2309.14859"
    Config = LoKrConfig
    default_sites = (
        DefaultSites((Role.QKV,)),
        DefaultSites((Role.Q, Role.V)),
        DefaultSites((Role.FC1, Role.FC2)),
    )

    def unsupported_reason(self, layer: Layer, config: LoKrConfig, slices: tuple[str, ...]) -> str:
        """Whole linear layers whose sizes the factor divides."""
        if layer.kind != "linear":
            return f"LoKr needs a plain linear layer; this is a {layer.type}."
        if slices:
            return "LoKr updates a layer as a whole, so it cannot take only some of its q, k and v rows."
        if any(size % config.factor for size in layer.shape):
            return (
                f"The factor {config.factor} does not divide the layer's sizes {layer.shape[0]} and {layer.shape[1]}."
            )
        return ""

    def attach(self, site: AttachmentSite[LoKrConfig]) -> None:
        """Put the adapted layer in the layer's place."""
        site.replace(lambda base: LoKrLinear(base, site))

    def short_text(self, config: LoKrConfig) -> str:
        """The factor."""
        return f"f{config.factor}"
