"""Adding a small network's output to what an attention, an MLP or a block gives: what all adapters of that kind share.

A serial adapter reads the sub-layer's output, a parallel one its input or the block's stream. Either is added to the
sub-layer's output, before the block's layer scale or after it.
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
from studio.peft.contract import AdaptedLayer, AttachmentSite, Method, MethodConfig

InputSource = Literal["output", "input", "stream"]
"""What an adapter reads: the sub-layer's output, its input, or the block's stream before any normalisation."""

SUBLAYERS = (Role.ATTENTION, Role.MLP)


class AdapterConfig(MethodConfig):
    """The field that all adapters have."""

    layer_scale: Literal["after", "before"] = Field(
        "after",
        description="where a block scales what its layers give (DINOv2, BEiT, ConvNeXt): add after that or before it",
    )


class TensorSlot:
    """One tensor on its way from where it is read to where it is added, within one forward pass of one block."""

    def __init__(self) -> None:
        self._tensor: Tensor | None = None

    def put(self, tensor: Tensor) -> None:
        """Take a tensor along."""
        self._tensor = tensor

    def pop(self) -> Tensor:
        """Hand it over; nothing is kept."""
        tensor, self._tensor = self._tensor, None
        assert tensor is not None
        return tensor

    def __deepcopy__(self, memo: dict[int, Any]) -> TensorSlot:
        return TensorSlot()


class InputTap(AdaptedLayer):
    """Lets an adapter further on read this layer's input."""

    def __init__(self, base: nn.Module, slot: TensorSlot) -> None:
        super().__init__(base)
        self.slot = slot

    def forward_adapted(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The layer's own output."""
        self.slot.put(x)
        return self.base_layer(x, *args, **kwargs)

    forward_scaled = forward_adapted


class ResidualAdapter(AdaptedLayer):
    """h + adapter(x, h), with h the layer's output and x the layer's input, its output, or what a :class:`Tap` read.

    ``adapter`` works on channels last, (N, ..., D); ``first`` tells of x and of h whether they come as (N, D, H, W).
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
        """The layer's output with the adapter's added, in the layer's own layout."""
        output = self.base_layer(*args, **kwargs)
        x = self._read(args, output)
        added = self.adapter(
            _to_channels_last(x, self.channels_first[0]), _to_channels_last(output, self.channels_first[1])
        )
        added = added if self.strength == 1 else self.strength * added
        added = added.permute(0, 3, 1, 2) if self.channels_first[1] else added
        if added.shape != output.shape:
            raise StudioError("This block cuts its tokens into windows in between; choose layer_scale = before.")
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
    """Add ``adapter(source, output)`` to what the site's layer gives, and return its branch: added at the branch's end.

    Raises StudioError where the block has a layer scale that cannot be passed.
    """
    path, first = site.layer.path, site.layer.channels_first
    found = find_residual_branch(path, site.modules, first)
    if layer_scale == "before":
        found = replace(found, end=path, end_channels_first=first)
    elif not found.hookable:
        raise StudioError(f"{path}: this block's layer scale cannot be passed; choose layer_scale = before.")
    end, end_first = found.end, found.end_channels_first
    start = {"output": end, "input": path, "stream": found.start}[source]
    if start == end:
        own: InputSource = "output" if source == "output" else "input"
        site.replace(lambda base: ResidualAdapter(base, adapter, own, (end_first, end_first)), end)
    else:
        carried = TensorSlot()
        site.replace(lambda base: InputTap(base, carried), start)
        site.replace(lambda base: ResidualAdapter(base, adapter, carried, (first, end_first)), end)
    return found


def _wrong_layer_reason(layer: Layer) -> str:
    if layer.role in (Role.BACKBONE, Role.STAGE, Role.BLOCK):
        return f"not to a whole {layer.type}, and convolutional networks have none that it fits"
    return f"and this is a {layer.type}"


A = TypeVar("A", bound=AdapterConfig)


def unsupported_width_reason(layer: Layer) -> str:
    """Why nothing as wide as its tokens can be added to what ``layer`` gives; empty where it can."""
    return "" if layer.width else f"What this {layer.type} gives is not known to be tokens as wide as what it takes."


class AdapterMethod(Method[A]):
    """A method that adds a small network's output to a sub-layer's."""

    family = "bottleneck"
    not_mergeable_reason = (
        "An adapter with an activation inside is not a change of any weight, so it cannot be merged; "
        "export it as adapter, onnx or torch."
    )
    roles: ClassVar[tuple[Role, ...]] = SUBLAYERS
    """The layers that it goes to."""

    @abstractmethod
    def build_adapter(self, width: int, config: A, factory_kwargs: dict[str, Any], shared: dict[str, Any]) -> nn.Module:
        """The network, called with source and output (N, ..., width), whose result is added to the output.

        ``shared`` is one dictionary for all layers of an attachment.
        """

    def input_source(self, config: A) -> InputSource:
        """What the adapter reads."""
        return "output"

    def trains_norms(self, config: A) -> bool:
        """Whether the branch's normalisation trains too."""
        return False

    def unsupported_reason(self, layer: Layer, config: A, slices: tuple[str, ...]) -> str:
        """Attention and MLP layers, whole, whose tokens are as wide going in as coming out."""
        if layer.role not in self.roles:
            return f"{self.label} goes to {self._role_names()} layers, {_wrong_layer_reason(layer)}."
        if slices:
            return f"{self.label} takes what the layer gives as a whole, so it cannot take only some of q, k and v."
        return unsupported_width_reason(layer)

    def unused_fields(self, sites: Sequence[Layer], layers: Sequence[Layer]) -> frozenset[str]:
        """Which side of the layer scale, where no block has one."""
        blocks = {layer.parent for layer in sites if layer.role in SUBLAYERS}
        holders = (layer for layer in layers if layer.path in blocks)
        scaled = any(name.startswith(("gamma", "layer_scale")) for h in holders for name in h.parameter_names)
        inside = any(layer.role is Role.SCALE and layer.parent in blocks for layer in layers)
        return frozenset() if scaled or inside else frozenset({"layer_scale"})

    def _role_names(self) -> str:
        return " and ".join("MLP" if role is Role.MLP else str(role) for role in self.roles)

    def attach(self, site: AttachmentSite[A]) -> None:
        """Add the adapter's output to the layer's."""
        network = self.build_adapter(site.layer.width, site.config, site.factory_kwargs, site.shared)
        found = insert_adapter(site, network, self.input_source(site.config), site.config.layer_scale)
        if self.trains_norms(site.config) and found.norm:
            for name, _ in list(site.modules[found.norm].named_parameters(recurse=False)):
                site.train_parameter(name, found.norm)
