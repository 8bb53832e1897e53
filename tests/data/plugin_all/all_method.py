"""Gate: a factor for each output of a linear layer."""

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
    Role,
    register_method,
)


class GateConfig(MethodConfig):
    """Fields of the method."""

    strength: float = Field(1.0, gt=0, le=8, title="Strength", description="factor of the learned part")


class GateLinear(AdaptedLayer):
    """y = (1 + strength g) * base(x), with g of shape (out,)."""

    def __init__(self, base: nn.Module, site: AttachmentSite[GateConfig]) -> None:
        super().__init__(base)
        self.strength = site.config.strength
        self.g = nn.Parameter(torch.zeros(site.layer.shape[0], **site.factory_kwargs))

    def forward_adapted(self, x: Tensor) -> Tensor:
        """Scale the outputs (..., out) of the layer."""
        return (1 + self.strength * self.g) * self.base_layer(x)

    def merged_module(self, base: nn.Module) -> nn.Module:
        """Scale the weight and the bias."""
        factor = 1 + self.strength * self.g.detach()
        base.weight = nn.Parameter(base.weight.detach() * factor[:, None], requires_grad=False)
        if base.bias is not None:
            base.bias = nn.Parameter(base.bias.detach() * factor, requires_grad=False)
        return base


@register_method
class Gate(Method[GateConfig]):
    """A learned factor for each output."""

    name = "gate"
    label = "Gate"
    family = "scaling"
    summary = "Multiplies each output of a linear layer by a learned factor."
    paper = "no paper"
    Config = GateConfig
    info = MethodInfo(when_to_use="For very few parameters.")
    default_sites = (DefaultSites((Role.QKV,)), DefaultSites((Role.FC1,)), DefaultSites((Role.HEAD,)))

    def unsupported_reason(self, layer: Layer, config: GateConfig, slices: tuple[str, ...]) -> str:
        """Support whole linear layers."""
        return "" if layer.kind == "linear" and not slices else "Gate needs a whole linear layer."

    def attach(self, site: AttachmentSite[GateConfig]) -> None:
        """Replace the layer."""
        site.replace(lambda base: GateLinear(base, site))
