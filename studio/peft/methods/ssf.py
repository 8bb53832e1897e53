"""SSF: scale and shift the output of every layer.

Lian et al. 2022, https://arxiv.org/abs/2210.08823.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.messages import N_
from studio.peft.contract import AdaptedLayer, AttachmentSite, DefaultSites, Method, MethodConfig, register
from studio.peft.method_info import MethodInfo
from studio.peft.methods.ia3 import ScaledOutput, frozen_parameter, outer_bias_rows


class ScaledNorm(AdaptedLayer):
    """A normalization layer with its weight and bias scaled, and its bias shifted: y = scale norm(x) + shift.

    The scale goes into the layer's own weight and bias, because some of timm's norms end with an activation.
    """

    scale: nn.Parameter
    shift: nn.Parameter | None

    def __init__(self, base: nn.Module, site: AttachmentSite[Any], *, shift: bool) -> None:
        super().__init__(base)
        if isinstance(base, AdaptedLayer) and not isinstance(base, ScaledNorm):
            raise StudioError(
                "attachment-conflict",
                "Cannot attach SSF to {layer}: this normalization layer has another attachment. Choose other layers.",
                layer=site.layer.path,
            )
        self.scale = nn.Parameter(torch.ones(site.layer.shape, **site.factory_kwargs))
        self.register_parameter(
            "shift", nn.Parameter(torch.zeros(site.layer.shape, **site.factory_kwargs)) if shift else None
        )

    def affine(self) -> dict[str, Tensor]:
        """Return weight and bias, including those of scaled norms below this one."""
        below = self.base_layer
        return self._interpolated(
            below.affine() if isinstance(below, ScaledNorm) and below.enabled else self._own_affine()
        )

    def _own_affine(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.unwrapped._parameters.items() if value is not None}

    def _scale_and_shift(self, below: Mapping[str, Tensor]) -> dict[str, Tensor]:
        above = {name: value * self.scale for name, value in below.items()}
        return above if self.shift is None else above | {"bias": above["bias"] + self.shift}

    def _interpolated(self, below: Mapping[str, Tensor]) -> dict[str, Tensor]:
        above = self._scale_and_shift(below)
        return above if self.strength == 1 else {n: torch.lerp(t, above[n], self.strength) for n, t in below.items()}

    def forward_adapted(self, x: Tensor) -> Tensor:
        """Run the plain layer with the scaled weight and bias."""
        return cast(Tensor, torch.func.functional_call(self.unwrapped, self.affine(), (x,)))

    forward_scaled = forward_adapted

    def merged_module(self, base: nn.Module) -> nn.Module:
        """Set the scaled weight and bias of the plain layer."""
        own = {name: value for name, value in base._parameters.items() if value is not None}
        for name, value in self._scale_and_shift(own).items():
            base._parameters[name] = frozen_parameter(value)
        return base


class SSFConfig(MethodConfig):
    """Fields of SSF."""

    shift: bool = Field(
        True, title=N_("Shift"), description=N_("also shift, in layers with a bias that the shift can be merged into")
    )
    init: Literal["normal", "identity"] = Field(
        "normal",
        title=N_("Initialization"),
        description=N_("normal: scale near 1 and shift near 0 (deviation 0.02, as in the paper); identity: exactly"),
    )


@register
class SSF(Method[SSFConfig]):
    """Scaling and Shifting deep Features."""

    name = "ssf"
    label = N_("SSF")
    family = N_("scaling")
    summary = N_("Scales and shifts the output of every layer. Few parameters. Merges like LoRA.")
    info = MethodInfo(
        when_to_use=N_("Images that look different from those of the pretraining: other colors, sensors or styles.")
    )
    paper = "Lian et al. 2022, https://arxiv.org/abs/2210.08823"
    Config = SSFConfig
    default_sites = (
        DefaultSites(
            (Role.NORM, Role.QKV, Role.Q, Role.K, Role.V, Role.O, Role.FC1, Role.FC2, Role.CONV, Role.PATCH_EMBEDDING)
        ),
    )
    allows_mixed_slices = True
    identity_at_init = False
    learning_rate = 5e-3

    def unsupported_reason(self, layer: Layer, config: SSFConfig, slices: tuple[str, ...]) -> str:
        """Support linear layers, convolutions and norms; with a shift, only those with a bias to merge it into."""
        if layer.kind not in ("linear", "conv2d", "norm"):
            return N_(
                "{method} needs a linear, convolution or normalization layer; this is a {type}.",
                method=self.label,
                type=layer.type,
            )
        if not layer.own_parameters:
            return N_("This {type} has no weight that a scale could be merged into.", type=layer.type)
        if config.shift and not layer.has_bias:
            return N_("This layer has no bias that a shift could be merged into; disable the shift to scale it only.")
        return ""

    def attach(self, site: AttachmentSite[SSFConfig]) -> None:
        """Scale and shift the layer's output."""
        shift = site.config.shift
        if site.layer.kind == "norm":
            site.replace(lambda base: _init_parameters(ScaledNorm(base, site, shift=shift), site.config))
        else:
            outer = outer_bias_rows(site)
            site.replace(lambda base: _init_parameters(ScaledOutput(base, site, shift=shift, outer=outer), site.config))


S = TypeVar("S", ScaledOutput, ScaledNorm)


def _init_parameters(layer: S, config: SSFConfig) -> S:
    if config.init == "normal":
        nn.init.normal_(layer.scale, mean=1.0, std=0.02)
        if layer.shift is not None:
            nn.init.normal_(layer.shift, std=0.02)
    return layer
