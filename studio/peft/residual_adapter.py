"""Residual adapters: a small network whose output is added to that of an attention, an MLP or a block.

A serial adapter reads the sub-layer's output, a parallel one its input or the block's residual stream. Both are added
to the sub-layer's output, before or after the block's layer scale.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field
from torch import Tensor, nn

from studio.backbones.residual_branches import ResidualBranch, find_residual_branch
from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.messages import N_
from studio.peft.contract import AdaptedLayer, AttachmentSite, Method, MethodConfig

InputSource = Literal["output", "input", "stream"]
"""The input of an adapter: the sub-layer's output or input, or the residual stream before any normalization."""

SUBLAYERS = (Role.ATTENTION, Role.MLP)


class AdapterConfig(MethodConfig):
    """The field that all residual adapters have."""

    layer_scale: Literal["after", "before"] = Field(
        "after",
        title=N_("Layer scale"),
        description=N_("add the adapter's output after or before the block's layer scale (DINOv2, BEiT, ConvNeXt)"),
    )


class TensorSlot:
    """Holder of one tensor between an :class:`InputTap` and its adapter, within one forward pass of a block."""

    def __init__(self) -> None:
        self._tensor: Tensor | None = None

    def put(self, tensor: Tensor) -> None:
        """Store a tensor."""
        self._tensor = tensor

    def pop(self) -> Tensor:
        """Return the tensor and forget it."""
        tensor, self._tensor = self._tensor, None
        assert tensor is not None
        return tensor

    def __deepcopy__(self, memo: dict[int, Any]) -> TensorSlot:
        return TensorSlot()


class InputTap(AdaptedLayer):
    """A layer whose input a later adapter reads."""

    def __init__(self, base: nn.Module, slot: TensorSlot) -> None:
        super().__init__(base)
        self.slot = slot

    def forward_adapted(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Store the input and return the layer's own output."""
        self.slot.put(x)
        return self.base_layer(x, *args, **kwargs)

    forward_scaled = forward_adapted


class ResidualAdapter(AdaptedLayer):
    """h + adapter(x, h): h is the layer's output; x its output, its input, or the tensor of an :class:`InputTap`.

    ``adapter`` works on channels last, (N, ..., D); ``channels_first`` tells whether x and h are (N, D, H, W).
    """

    def __init__(
        self,
        base: nn.Module,
        adapter: nn.Module,
        source: InputSource | TensorSlot,
        channels_first: tuple[bool, bool] = (False, False),
    ) -> None:
        super().__init__(base)
        self.adapter = adapter
        self.source = source
        self.channels_first = channels_first

    def forward_adapted(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the layer's output plus the adapter's, in the layer's own layout."""
        output = self.base_layer(*args, **kwargs)
        x = self._read(args, output)
        added = self.adapter(
            _to_channels_last(x, self.channels_first[0]), _to_channels_last(output, self.channels_first[1])
        )
        added = added if self.strength == 1 else self.strength * added
        added = added.permute(0, 3, 1, 2) if self.channels_first[1] else added
        if added.shape != output.shape:
            raise StudioError(
                "unsupported-layer",
                "Cannot add an adapter after the layer scale: this block splits its tokens into windows. "
                "Set layer_scale to before.",
            )
        return output + added

    forward_scaled = forward_adapted

    def _read(self, args: tuple[Any, ...], output: Tensor) -> Tensor:
        if isinstance(self.source, TensorSlot):
            return self.source.pop()
        return output if self.source == "output" else args[0]


def _to_channels_last(x: Tensor, channels_first: bool) -> Tensor:
    return x.permute(0, 2, 3, 1) if channels_first else x


def insert_adapter(
    site: AttachmentSite[Any], adapter: nn.Module, source: InputSource, layer_scale: str
) -> ResidualBranch:
    """Add ``adapter(source, output)`` at the end of the residual branch of the site's layer; return the branch.

    Raises StudioError if nothing can be added after the block's layer scale.
    """
    path, first = site.layer.path, site.layer.channels_first
    found = find_residual_branch(path, site.modules, first)
    if layer_scale == "before":
        found = replace(found, end=path, end_channels_first=first)
    elif not found.hookable:
        raise StudioError(
            "unsupported-layer",
            "{layer}: an adapter cannot be added after this block's layer scale. Set layer_scale to before.",
            layer=path,
        )
    end, end_first = found.end, found.end_channels_first
    start = {"output": end, "input": path, "stream": found.start}[source]
    if start == end:
        own: InputSource = "output" if source == "output" else "input"
        site.replace(lambda base: ResidualAdapter(base, adapter, own, (end_first, end_first)), end)
    else:
        slot = TensorSlot()
        site.replace(lambda base: InputTap(base, slot), start)
        site.replace(lambda base: ResidualAdapter(base, adapter, slot, (first, end_first)), end)
    return found


A = TypeVar("A", bound=AdapterConfig)


def unsupported_width_reason(layer: Layer) -> str:
    """Return why no residual adapter can be added to the output of ``layer``; empty if it can."""
    if layer.width:
        return ""
    return N_("{type} may change the token width, so no residual adapter can be added.", type=layer.type)


class AdapterMethod(Method[A]):
    """A method that adds the output of a small network to that of a sub-layer."""

    family = N_("bottleneck")
    not_mergeable_reason = N_(
        "An adapter with an activation inside cannot be merged: no weight can represent it. "
        "Export it as adapter, onnx or torch."
    )
    roles: ClassVar[tuple[Role, ...]] = SUBLAYERS
    """The roles of the layers that it supports."""

    @abstractmethod
    def build_adapter(self, width: int, config: A, factory_kwargs: dict[str, Any], shared: dict[str, Any]) -> nn.Module:
        """Return the network, called with source and output (N, ..., width); its result is added to the output.

        ``shared`` is one dictionary for all layers of an attachment.
        """

    def input_source(self, config: A) -> InputSource:
        """Return the input of the adapter."""
        return "output"

    def trains_norms(self, config: A) -> bool:
        """Return whether the branch's normalization trains too."""
        return False

    def unsupported_reason(self, layer: Layer, config: A, slices: tuple[str, ...]) -> str:
        """Support whole layers with one of ``roles`` whose input and output tokens have the same width."""
        if layer.role not in self.roles:
            return _unsupported_role_reason(self.label, self.roles, layer)
        if slices:
            return N_(
                "{method} adapts the whole output of a layer, so it cannot take q, k or v slices.", method=self.label
            )
        return unsupported_width_reason(layer)

    def unused_fields(self, sites: Sequence[Layer], layers: Sequence[Layer]) -> frozenset[str]:
        """Return the ``layer_scale`` field if no block has a layer scale."""
        blocks = {layer.parent for layer in sites if layer.role in SUBLAYERS}
        holders = (layer for layer in layers if layer.path in blocks)
        scaled = any(name.startswith(("gamma", "layer_scale")) for h in holders for name in h.parameter_names)
        inside = any(layer.role is Role.SCALE and layer.parent in blocks for layer in layers)
        return frozenset() if scaled or inside else frozenset({"layer_scale"})

    def attach(self, site: AttachmentSite[A]) -> None:
        """Add the adapter's output to the layer's."""
        network = self.build_adapter(site.layer.width, site.config, site.factory_kwargs, site.shared)
        found = insert_adapter(site, network, self.input_source(site.config), site.config.layer_scale)
        if self.trains_norms(site.config) and found.norm:
            for name, _ in list(site.modules[found.norm].named_parameters(recurse=False)):
                site.train_parameter(name, found.norm)


_ROLE_NAMES = {
    SUBLAYERS: N_("attention and MLP layers"),
    (Role.MLP,): N_("MLP layers"),
    (Role.BLOCK, *SUBLAYERS): N_("blocks, attention and MLP layers"),
}


def _unsupported_role_reason(label: str, roles: tuple[Role, ...], layer: Layer) -> str:
    names = _ROLE_NAMES.get(roles, ", ".join(roles))
    if layer.role in (Role.BACKBONE, Role.STAGE, Role.BLOCK):
        return N_(
            "{method} needs {roles}; {type} has none that it supports.", method=label, roles=names, type=layer.type
        )
    return N_("{method} needs {roles}; this is a {type}.", method=label, roles=names, type=layer.type)
