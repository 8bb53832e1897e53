"""Methods that scale what a layer computes: (IA)^3 and SSF.

(IA)^3: Liu et al. 2022, https://arxiv.org/abs/2205.05638. SSF: Lian et al. 2022, https://arxiv.org/abs/2210.08823.

timm's BEiT, EVA and Swin V2 add the biases of q and v outside of their qkv layer. A scale of q, k or v is meant for the
sum, so the layer here scales those biases along with its own output, and merging scales them in the attention.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.peft.contract import AdaptedLayer, AttachmentSite, DefaultSites, Method, MethodConfig, register, slice_rows

OUTER_BIAS_NAMES = {"q": "q_bias", "v": "v_bias"}
"""The attention's names for biases that it adds to the output of its qkv; that of k is always zero."""


class ScaledOutput(AdaptedLayer):
    """y = scale base(x) + shift, a value for each output channel, or for the rows of some of q, k, v.

    ``scale`` and ``shift`` are (rows,); ``shift`` is None where there is none. ``outer`` maps the first row of a slice
    to the name of a bias that ``holder`` adds to it afterwards: its share is added here, as if the sum were scaled.
    """

    scale: nn.Parameter
    shift: nn.Parameter | None

    def __init__(self, base: nn.Module, site: AttachmentSite[Any], *, shift: bool, outer: Mapping[int, str]) -> None:
        super().__init__(base)
        self.out_features = site.layer.shape[0]
        self.rows = slice_rows(site.layer, site.slices if site.layer.slices else ())
        self.channels = (-1,) if site.layer.kind == "linear" else (-1, 1, 1)
        size = sum(stop - start for start, stop in self.rows) or self.out_features
        self.scale = nn.Parameter(torch.ones(size, **site.factory_kwargs))
        self.register_parameter("shift", nn.Parameter(torch.zeros(size, **site.factory_kwargs)) if shift else None)
        self.outer = {start: name for start, name in outer.items() if self._covers(start)}
        # In a tuple, so that it does not become a child of its own child.
        self.bias_owner: tuple[nn.Module, ...] = (site.model.get_submodule(site.layer.parent),) if self.outer else ()

    def _covers(self, row: int) -> bool:
        return not self.rows or any(start <= row < stop for start, stop in self.rows)

    def expand_rows(self, values: Tensor, neutral: float) -> Tensor:
        """``values`` (rows,) over all output channels, ``neutral`` where nothing is adapted."""
        if not self.rows:
            return values
        full = values.new_full((self.out_features,), neutral)
        parts = values.split([stop - start for start, stop in self.rows])
        for (start, stop), part in zip(self.rows, parts, strict=True):
            full[start:stop] = part
        return full

    def full_shift(self, scale: Tensor) -> Tensor | None:
        """What is added, over all output channels; with the share of outer biases; None for nothing."""
        shift = None if self.shift is None else self.expand_rows(self.shift, 0.0)
        if not self.outer:
            return shift
        shift = scale.new_zeros(self.out_features) if shift is None else shift
        width = self.out_features // 3
        shares = [
            self._outer_bias_shift(scale[start : start + width], start) for start in range(0, self.out_features, width)
        ]
        return shift + torch.cat(shares)

    def _outer_bias_shift(self, scale: Tensor, start: int) -> Tensor:
        name = self.outer.get(start)
        return (
            torch.zeros_like(scale) if name is None else (scale - 1) * cast(Tensor, getattr(self.bias_owner[0], name))
        )

    def forward_adapted(self, x: Tensor) -> Tensor:
        """The layer's output, scaled and shifted; outer biases are still to come."""
        y = self.base_layer(x)
        scale = self.expand_rows(self.scale, 1.0)
        shift = self.full_shift(scale)
        scaled = y * scale.to(y.dtype).view(self.channels)
        return scaled if shift is None else scaled + shift.to(y.dtype).view(self.channels)

    def merged_module(self, base: nn.Module) -> nn.Module:
        """The plain layer with its weight's rows and its bias scaled, and the bias shifted."""
        scale = self.expand_rows(self.scale.detach(), 1.0)
        weight, bias = cast(Tensor, base.weight), cast("Tensor | None", base.bias)
        base.weight = _frozen_parameter(weight * scale.view(-1, *[1] * (weight.ndim - 1)))
        if bias is not None:
            shift = 0.0 if self.shift is None else self.expand_rows(self.shift.detach(), 0.0)
            base.bias = _frozen_parameter(bias * scale + shift)
        return base

    def merge_into_parent(self, parent: nn.Module) -> None:
        """Scale the biases that the attention adds to q and v."""
        scale = self.expand_rows(self.scale.detach(), 1.0)
        for start, name in self.outer.items():
            bias = cast(Tensor, getattr(parent, name))
            setattr(parent, name, _frozen_parameter(bias * scale[start : start + len(bias)]))


class ScaledInput(AdaptedLayer):
    """y = base(scale x), a value for each input channel: on the second layer of an MLP, for each hidden feature."""

    def __init__(self, base: nn.Module, site: AttachmentSite[Any]) -> None:
        super().__init__(base)
        self.channels = (-1,) if site.layer.kind == "linear" else (-1, 1, 1)
        self.groups = site.layer.groups
        self.scale = nn.Parameter(torch.ones(site.layer.shape[1] * self.groups, **site.factory_kwargs))

    def forward_adapted(self, x: Tensor) -> Tensor:
        """The layer of the scaled input."""
        return self.base_layer(x * self.scale.to(x.dtype).view(self.channels))

    def merged_module(self, base: nn.Module) -> nn.Module:
        """The plain layer with its weight's columns scaled; in a grouped convolution each group has its own."""
        weight = cast(Tensor, base.weight)
        scale = self.scale.detach().view(self.groups, 1, -1, *[1] * (weight.ndim - 2))
        base.weight = _frozen_parameter((weight.unflatten(0, (self.groups, -1)) * scale).flatten(0, 1))
        return base


class ScaledNorm(AdaptedLayer):
    """A normalisation layer with its weight and bias scaled, and its bias shifted: y = scale norm(x) + shift.

    Through the layer's own weight and bias, as some of timm's norms end with an activation.
    """

    scale: nn.Parameter
    shift: nn.Parameter | None

    def __init__(self, base: nn.Module, site: AttachmentSite[Any], *, shift: bool) -> None:
        super().__init__(base)
        if isinstance(base, AdaptedLayer) and not isinstance(base, ScaledNorm):
            raise StudioError("SSF needs a normalisation layer as it is, but another attachment is already there.")
        self.scale = nn.Parameter(torch.ones(site.layer.shape, **site.factory_kwargs))
        self.register_parameter(
            "shift", nn.Parameter(torch.zeros(site.layer.shape, **site.factory_kwargs)) if shift else None
        )

    def affine(self) -> dict[str, Tensor]:
        """Weight and bias, with those of scaled norms under this one."""
        below = (
            self.base_layer.affine()
            if isinstance(self.base_layer, ScaledNorm) and self.base_layer.enabled
            else self._own_affine()
        )
        return self._interpolated(below)

    def _own_affine(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.unwrapped._parameters.items() if value is not None}

    def _scale_and_shift(self, below: Mapping[str, Tensor]) -> dict[str, Tensor]:
        above = {name: value * self.scale for name, value in below.items()}
        return above if self.shift is None else above | {"bias": above["bias"] + self.shift}

    def _interpolated(self, below: Mapping[str, Tensor]) -> dict[str, Tensor]:
        above = self._scale_and_shift(below)
        return above if self.strength == 1 else {n: torch.lerp(t, above[n], self.strength) for n, t in below.items()}

    def forward_adapted(self, x: Tensor) -> Tensor:
        """The layer of the same kind with the other weight and bias."""
        return cast(Tensor, torch.func.functional_call(self.unwrapped, self.affine(), (x,)))

    forward_scaled = forward_adapted

    def merged_module(self, base: nn.Module) -> nn.Module:
        """The plain layer with the other weight and bias."""
        own = {name: value for name, value in base._parameters.items() if value is not None}
        for name, value in self._scale_and_shift(own).items():
            base._parameters[name] = _frozen_parameter(value)
        return base


def _frozen_parameter(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value.detach(), requires_grad=False)


def outer_biases(site: AttachmentSite[Any]) -> dict[int, str]:
    """First row of a slice of a fused qkv to the name of the bias that the attention adds to it; mostly empty."""
    parent = site.model.get_submodule(site.layer.parent)
    if not site.layer.slices or not hasattr(parent, "qkv_bias_separate"):
        return {}
    width = site.layer.shape[0] // 3
    names = {"qkv".index(part) * width: name for part, name in OUTER_BIAS_NAMES.items()}
    return {row: name for row, name in names.items() if getattr(parent, name, None) is not None}


class IA3Config(MethodConfig):
    """Fields of (IA)^3."""

    scales: Literal["auto", "output", "input"] = Field(
        "auto", description="what is scaled; auto: the input of an MLP's second layer, the output of every other"
    )
    outer_bias: bool = Field(
        True, description="also scale a bias that the attention adds outside of the layer (BEiT, EVA, Swin V2)"
    )


def scales_input(layer: Layer, scales: str) -> bool:
    """Whether (IA)^3 scales the input of ``layer`` rather than its output."""
    return scales == "input" or (scales == "auto" and layer.role is Role.FC2)


@register
class IA3(Method[IA3Config]):
    """Infused Adapter by Inhibiting and Amplifying Inner Activations."""

    name = "ia3"
    label = "(IA)³"
    family = "scaling"
    summary = "Learns one scale for each key, value and hidden feature. Tiny; merges, so it costs nothing afterwards."
    when_to_use = "Very few images: hardly any weights, and none left once merged."
    paper = "Liu et al. 2022, https://arxiv.org/abs/2205.05638"
    Config = IA3Config
    default_sites = (
        DefaultSites((Role.QKV, Role.K, Role.V, Role.FC2), ("k", "v")),
        DefaultSites((Role.CONV,)),
    )
    allows_mixed_slices = True
    peft_type = "IA3"
    learning_rate = 3e-3

    def unsupported_reason(self, layer: Layer, config: IA3Config, slices: tuple[str, ...]) -> str:
        """Linear layers and convolutions."""
        if layer.kind not in ("linear", "conv2d"):
            return f"{self.label} needs a plain linear or convolution layer; this is a {layer.type}."
        if layer.slices and slices and scales_input(layer, config.scales):
            return "The input of a fused qkv is one for q, k and v, so slices need a scale of the output."
        return ""

    def attach(self, site: AttachmentSite[IA3Config]) -> None:
        """Scale the layer's input or its output."""
        if scales_input(site.layer, site.config.scales):
            site.replace(lambda base: ScaledInput(base, site))
        else:
            outer = outer_biases(site) if site.config.outer_bias else {}
            site.replace(lambda base: ScaledOutput(base, site, shift=False, outer=outer))


class SSFConfig(MethodConfig):
    """Fields of SSF."""

    shift: bool = Field(True, description="also shift; the shift needs a layer with a bias, to merge into")
    init: Literal["normal", "identity"] = Field(
        "normal",
        description="begin near a scale of 1 and a shift of 0 (deviation 0.02, as in the paper), or exactly there",
    )


@register
class SSF(Method[SSFConfig]):
    """Scaling and Shifting deep Features."""

    name = "ssf"
    label = "SSF"
    family = "scaling"
    summary = "Scales and shifts the output of every layer. Small; merges, so it costs nothing afterwards."
    when_to_use = "Images that look different from those of the backbone: other colours, sensors or styles."
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
        """Linear layers, convolutions and norms; with a shift, only those that have a bias to merge it into."""
        if layer.kind not in ("linear", "conv2d", "norm"):
            return f"{self.label} needs a linear, convolution or normalisation layer; this is a {layer.type}."
        if not layer.own_parameters:
            return f"This {layer.type} has no weight that a scale could merge into."
        if config.shift and not layer.has_bias:
            return "This layer has no bias that a shift could merge into; switch the shift off to scale it only."
        return ""

    def attach(self, site: AttachmentSite[SSFConfig]) -> None:
        """Scale and shift the layer's output."""
        shift = site.config.shift
        if site.layer.kind == "norm":
            site.replace(lambda base: _init_parameters(ScaledNorm(base, site, shift=shift), site.config))
        else:
            outer = outer_biases(site)
            site.replace(lambda base: _init_parameters(ScaledOutput(base, site, shift=shift, outer=outer), site.config))


S = TypeVar("S", ScaledOutput, ScaledNorm)


def _init_parameters(layer: S, config: SSFConfig) -> S:
    if config.init == "normal":
        nn.init.normal_(layer.scale, mean=1.0, std=0.02)
        if layer.shift is not None:
            nn.init.normal_(layer.shift, std=0.02)
    return layer
