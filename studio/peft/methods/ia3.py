"""(IA)^3: one trained scale for each key, value and hidden feature.

Liu et al. 2022, https://arxiv.org/abs/2205.05638.

timm's BEiT, EVA and Swin V2 add the biases of q and v outside of their qkv layer. A scale of q, k or v applies to the
sum, so the layer here scales those biases along with its own output, and merging scales them in the attention.
"""

from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from studio.backbones.layer_roles import OUTER_BIAS_NAMES
from studio.core.layers import Layer, Role
from studio.core.messages import N_
from studio.peft.contract import AdaptedLayer, AttachmentSite, DefaultSites, Method, MethodConfig, register, slice_rows
from studio.peft.hf.ia3 import IA3Form
from studio.peft.method_info import MethodInfo
from studio.peft.methods.lora import unsupported_kind_reason


class ScaledOutput(AdaptedLayer):
    """y = scale base(x) + shift, one value for each output channel, or for the rows of some of q, k, v.

    ``scale`` and ``shift`` are (rows,); ``shift`` may be None. ``outer`` maps the first row of a slice to the name of
    a bias that ``bias_owner`` adds to it afterwards: its share is added here, as if the sum were scaled.
    """

    scales_input = False
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
        """Expand ``values`` (rows,) to all output channels, with ``neutral`` for rows that are not adapted."""
        if not self.rows:
            return values
        full = values.new_full((self.out_features,), neutral)
        parts = values.split([stop - start for start, stop in self.rows])
        for (start, stop), part in zip(self.rows, parts, strict=True):
            full[start:stop] = part
        return full

    def full_scale(self) -> Tensor:
        """Return the scale over all output channels, detached."""
        return self.expand_rows(self.scale.detach(), 1.0)

    def outer_biases(self) -> dict[int, tuple[str, Tensor]]:
        """Return the biases that the attention adds afterwards, by their first row: name and current value."""
        return {start: (name, getattr(self.bias_owner[0], name)) for start, name in self.outer.items()}

    def full_shift(self, scale: Tensor) -> Tensor | None:
        """Return the shift over all output channels, with the share of outer biases; None for no shift."""
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
        if name is None:
            return torch.zeros_like(scale)
        return (scale - 1) * cast(Tensor, getattr(self.bias_owner[0], name))

    def forward_adapted(self, x: Tensor) -> Tensor:
        """Return the layer's output, scaled and shifted, before the outer biases."""
        y = self.base_layer(x)
        scale = self.expand_rows(self.scale, 1.0)
        shift = self.full_shift(scale)
        scaled = y * scale.to(y.dtype).view(self.channels)
        return scaled if shift is None else scaled + shift.to(y.dtype).view(self.channels)

    def merged_module(self, base: nn.Module) -> nn.Module:
        """Scale the rows of the plain layer's weight and its bias, and shift the bias."""
        scale = self.full_scale()
        weight, bias = cast(Tensor, base.weight), cast("Tensor | None", base.bias)
        base.weight = frozen_parameter(weight * scale.view(-1, *[1] * (weight.ndim - 1)))
        if bias is not None:
            shift = 0.0 if self.shift is None else self.expand_rows(self.shift.detach(), 0.0)
            base.bias = frozen_parameter(bias * scale + shift)
        return base

    def merge_into_parent(self, parent: nn.Module) -> None:
        """Scale the biases that the attention adds to q and v."""
        scale = self.full_scale()
        for start, name in self.outer.items():
            bias = cast(Tensor, getattr(parent, name))
            setattr(parent, name, frozen_parameter(bias * scale[start : start + len(bias)]))


class ScaledInput(AdaptedLayer):
    """y = base(scale x), one value for each input channel: each hidden feature of an MLP's second layer."""

    scales_input = True

    def __init__(self, base: nn.Module, site: AttachmentSite[Any]) -> None:
        super().__init__(base)
        self.channels = (-1,) if site.layer.kind == "linear" else (-1, 1, 1)
        self.groups = site.layer.groups
        self.scale = nn.Parameter(torch.ones(site.layer.shape[1] * self.groups, **site.factory_kwargs))

    def full_scale(self) -> Tensor:
        """Return the scale of all input channels, detached."""
        return self.scale.detach()

    def outer_biases(self) -> dict[int, tuple[str, Tensor]]:
        """Return none: biases are added to the output."""
        return {}

    def forward_adapted(self, x: Tensor) -> Tensor:
        """Return the layer's output for the scaled input."""
        return self.base_layer(x * self.scale.to(x.dtype).view(self.channels))

    def merged_module(self, base: nn.Module) -> nn.Module:
        """Scale the columns of the plain layer's weight, separately for each group of a convolution."""
        weight = cast(Tensor, base.weight)
        scale = self.full_scale().view(self.groups, 1, -1, *[1] * (weight.ndim - 2))
        base.weight = frozen_parameter((weight.unflatten(0, (self.groups, -1)) * scale).flatten(0, 1))
        return base


def frozen_parameter(value: Tensor) -> nn.Parameter:
    """Return ``value`` as a parameter that does not train."""
    return nn.Parameter(value.detach(), requires_grad=False)


def outer_bias_rows(site: AttachmentSite[Any]) -> dict[int, str]:
    """Return the first row of each slice of a fused qkv with an outer bias, and its name; mostly empty."""
    parent = site.model.get_submodule(site.layer.parent)
    if not site.layer.slices or not hasattr(parent, "qkv_bias_separate"):
        return {}
    width = site.layer.shape[0] // 3
    names = {"qkv".index(part) * width: name for part, name in OUTER_BIAS_NAMES.items()}
    return {row: name for row, name in names.items() if getattr(parent, name, None) is not None}


class IA3Config(MethodConfig):
    """Fields of (IA)^3."""

    scales: Literal["auto", "output", "input"] = Field(
        "auto",
        title=N_("Scales"),
        description=N_("scaled side of the layer; auto: the input of an MLP's second layer, the output of any other"),
    )
    outer_bias: bool = Field(
        True,
        title=N_("Outer bias"),
        description=N_("also scale a bias that the attention adds outside of the layer (BEiT, EVA, Swin V2)"),
    )


def scales_input(layer: Layer, scales: str) -> bool:
    """Return whether (IA)^3 scales the input of ``layer`` instead of its output."""
    return scales == "input" or (scales == "auto" and layer.role is Role.FC2)


@register
class IA3(Method[IA3Config]):
    """Infused Adapter by Inhibiting and Amplifying Inner Activations."""

    name = "ia3"
    label = N_("(IA)³")
    family = N_("scaling")
    summary = N_("Trains one scale for each key, value and hidden feature. Very few parameters. Merges like LoRA.")
    info = MethodInfo(when_to_use=N_("Very few images: hardly any parameters, and none left once merged."))
    paper = "Liu et al. 2022, https://arxiv.org/abs/2205.05638"
    Config = IA3Config
    default_sites = (
        DefaultSites((Role.QKV, Role.K, Role.V, Role.FC2), ("k", "v")),
        DefaultSites((Role.CONV,)),
    )
    allows_mixed_slices = True
    peft_form = IA3Form()
    learning_rate = 3e-3

    def unsupported_reason(self, layer: Layer, config: IA3Config, slices: tuple[str, ...]) -> str:
        """Support linear layers and convolutions."""
        if layer.kind not in ("linear", "conv2d"):
            return unsupported_kind_reason(self.label, layer)
        if layer.slices and slices and scales_input(layer, config.scales):
            return N_("q, k and v have the same input in a fused qkv, so slices need scales = output.")
        return ""

    def attach(self, site: AttachmentSite[IA3Config]) -> None:
        """Scale the layer's input or its output."""
        if scales_input(site.layer, site.config.scales):
            site.replace(lambda base: ScaledInput(base, site))
        else:
            outer = outer_bias_rows(site) if site.config.outer_bias else {}
            site.replace(lambda base: ScaledOutput(base, site, shift=False, outer=outer))
