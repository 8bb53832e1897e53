"""LoKr: a Kronecker product as the update of a weight.

Yeh et al. 2023, https://arxiv.org/abs/2309.14859, in the variant with two full factors.
"""

import math
from typing import Any

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
    MethodInfo,
    PeftForm,
    Role,
    register_method,
)


class LoKrConfig(MethodConfig):
    """Fields of LoKr; the window's form, the command's help and the check of a recipe are made from them."""

    factor: int = Field(
        4, ge=2, le=64, title="Factor", description="size of the small factor; a larger one has fewer parameters"
    )
    scale: float = Field(1.0, gt=0, le=64, title="Scale", description="factor of the update")


class LoKrLinear(AdaptedLayer):
    """y = base(x) + scale (C ⊗ B) x, with C (factor, factor) and B (out / factor, in / factor).

    C is zero at first, so that the output is unchanged.
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
        """Map x (..., in) to (..., out), without building the product."""
        parts = x.unflatten(-1, (len(self.C), -1))
        return self.base_layer(x) + self.scale * (self.C @ (parts @ self.B.T)).flatten(-2)

    @property
    def scaled_C(self) -> Tensor:
        """C with the scale in it, as HF peft stores it."""
        return self.scale * self.C

    def merged_module(self, base: nn.Module) -> nn.Module:
        """Add the product to the weight of the plain layer."""
        update = self.scale * torch.kron(self.C.detach(), self.B.detach())
        base.weight = nn.Parameter(base.weight.detach() + update, requires_grad=False)
        return base


def peft_config(layer: LoKrLinear) -> dict[str, Any]:
    """Return the keys of HF peft; a rank above all sizes keeps both factors full, and alpha / r is the scale 1."""
    rank = 1 << 20
    return {"r": rank, "alpha": rank, "decompose_both": False, "decompose_factor": len(layer.C)}


@register_method
class LoKr(Method[LoKrConfig]):
    """Low-rank adaptation with a Kronecker product instead of B A."""

    name = "lokr"
    label = "LoKr"
    family = "low rank"
    summary = "Adds a Kronecker product of two small matrices to a frozen weight. Merges into it."
    paper = "Yeh et al. 2023, https://arxiv.org/abs/2309.14859"
    Config = LoKrConfig
    info = MethodInfo(when_to_use="Like LoRA, with fewer parameters.", badge="f{factor}", size_field="factor")
    peft_form = PeftForm("LOKR", {"lokr_w1": "scaled_C", "lokr_w2": "B"}, peft_config)
    default_sites = (
        DefaultSites((Role.QKV,)),
        DefaultSites((Role.Q, Role.V)),
        DefaultSites((Role.FC1, Role.FC2)),
    )

    def unsupported_reason(self, layer: Layer, config: LoKrConfig, slices: tuple[str, ...]) -> str:
        """Support whole linear layers whose sizes are multiples of the factor."""
        if layer.kind != "linear":
            return f"LoKr needs a plain linear layer; this is a {layer.type}."
        if slices:
            return "LoKr updates whole layers, so it cannot take q, k or v slices."
        if any(size % config.factor for size in layer.shape):
            return (
                f"The factor {config.factor} does not divide the layer's sizes {layer.shape[0]} and {layer.shape[1]}."
            )
        return ""

    def attach(self, site: AttachmentSite[LoKrConfig]) -> None:
        """Put the adapted layer in the layer's place."""
        site.replace(lambda base: LoKrLinear(base, site))
