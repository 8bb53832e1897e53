"""What a PEFT method is: the contract between the engine and one file in ``studio/peft/methods``.

A method says which layers it accepts (:meth:`Method.refuses`), what it does there (:meth:`Method.attach`, through a
:class:`Site`, whose changes the engine records and undoes), and whether it merges (:meth:`AdaptedLayer.merged`).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from studio.core.layers import Layer, Role
from studio.core.messages import N_
from studio.core.registry import Registry
from studio.core.validation import bad_value


class MethodConfig(BaseModel):
    """A method's own fields, each with a default, bounds and a ``description``.

    The form, the help and the check of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


C = TypeVar("C", bound=MethodConfig)


@dataclass(frozen=True, slots=True)
class DefaultSites:
    """Where a method goes unless told otherwise: layers of one of ``roles``, and which slices of a fused qkv."""

    roles: tuple[Role, ...]
    slices: tuple[str, ...] = ()


class AdaptedLayer(nn.Module):
    """Stands in a layer's place, holds the layer as ``base``, and adds what the method adds.

    Everything that is not under ``base`` belongs to the adapter. Attributes that are not found here are looked up on
    the layer, so that code which asks an attention for its ``num_heads`` still finds it.
    """

    may_skip_steps: bool = False
    """Whether it sits out some steps by design (a random depth), so that a step without a gradient is no fault."""
    not_scalable_reason: ClassVar[str] = ""
    """Why it cannot take part by halves, in one sentence; empty where it can."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base_layer = base
        self.enabled = True
        self.strength = 1.0
        self.training = False

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The layer with its adapter, or the layer alone while the attachment is switched off."""
        if not self.enabled:
            return self.base_layer(*args, **kwargs)
        return self.forward_adapted(*args, **kwargs) if self.strength == 1 else self.forward_scaled(*args, **kwargs)

    def forward_scaled(self, *args: Any, **kwargs: Any) -> Any:
        """On the line from the layer alone (0) to the layer with its adapter (1) and beyond.

        A layer whose :meth:`adapted` heeds ``strength`` itself returns that.
        """
        output = self.base_layer(*args, **kwargs)
        return output + self.strength * (self.forward_adapted(*args, **kwargs) - output)

    def set_enabled(self, enabled: bool) -> None:
        """Take part from now on, or let the layer work alone."""
        self.enabled = enabled

    def forward_adapted(self, *args: Any, **kwargs: Any) -> Any:
        """The layer with its adapter."""
        raise NotImplementedError

    def merged_module(self, base: nn.Module) -> nn.Module:
        """Fold the adapter into ``base``, a plain copy of the layer that may change; return what takes its place."""
        raise NotImplementedError

    def merge_into_parent(self, parent: nn.Module) -> None:
        """Fold what acts on tensors that ``parent``, a plain copy of the layer's holder, keeps outside of the layer.

        Called after :meth:`merged`; timm's BEiT keeps the bias of its qkv in the attention, for one.
        """

    def finalize(self) -> None:
        """Put what they amount to in the place of tensors that only training needs; the output stays the same."""

    @property
    def unwrapped(self) -> nn.Module:
        """The backbone's own layer, under every adapter that stands in its place."""
        return self.base_layer.unwrapped if isinstance(self.base_layer, AdaptedLayer) else self.base_layer

    def adapter_state_dict(self) -> dict[str, Tensor]:
        """The adapter's parameters and persistent buffers by name, without the layer's."""
        own: dict[str, Tensor] = {name: value for name, value in self._parameters.items() if value is not None}
        own |= {
            name: b
            for name, b in self._buffers.items()
            if b is not None and name not in self._non_persistent_buffers_set
        }
        for name, child in self.named_children():
            if name != "base_layer":
                own |= {f"{name}.{key}": value for key, value in child.state_dict(keep_vars=True).items()}
        return own

    def train(self, mode: bool = True) -> AdaptedLayer:
        """Set the mode of the adapter; a frozen layer under it stays as it is."""
        self.training = mode
        for name, child in self.named_children():
            if name != "base_layer":
                child.train(mode)
        return self

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            layer = self._modules.get("base_layer")
            while isinstance(layer, AdaptedLayer):
                layer = layer._modules.get("base_layer")
            if layer is None:
                raise
            return getattr(layer, name)


@dataclass
class AttachmentSite(Generic[C]):
    """One layer at which one attachment is being attached: what the method may do there.

    The engine carries the changes out and undoes them. ``modules`` are the backbone's own layers by path, whatever
    stands in their place by now; ``shared`` is one dictionary for all sites of the attachment. ``rest_first(n)`` lets
    everything in the first n blocks rest, whichever attachment it belongs to, until it is told another number.
    ``backbone_identity()`` is :func:`studio.backbones.loading.weights_digest` of the bare backbone.
    """

    layer: Layer
    module: nn.Module
    config: C
    slices: tuple[str, ...]
    model: nn.Module
    layers: tuple[Layer, ...]
    modules: Mapping[str, nn.Module]
    shared: dict[str, Any]
    skip_first_blocks: Callable[[int], None] = field(repr=False)
    backbone_identity: Callable[[], str] = field(repr=False)
    _replace: Callable[[str, Callable[[nn.Module], AdaptedLayer], bool], None] = field(repr=False)
    _train_parameter: Callable[[str, str], None] = field(repr=False)
    _set_attribute: Callable[[str, str, Any], None] = field(repr=False)
    _add_to_count: Callable[[str, str, int], None] = field(repr=False)

    @property
    def factory_kwargs(self) -> dict[str, Any]:
        """``device`` and ``dtype`` of the layer, for the tensors that the method makes."""
        tensor = next(self.module.parameters(), None)
        tensor = next(self.model.parameters()) if tensor is None else tensor
        return {"device": tensor.device, "dtype": tensor.dtype}

    def replace(
        self, make: Callable[[nn.Module], AdaptedLayer], path: str | None = None, *, innermost: bool = False
    ) -> None:
        """Put ``make(what is there now)`` in the place of this layer, or of the one at ``path``.

        ``innermost`` puts it under the adapters that already stand there, next to the backbone's own layer.
        """
        self._replace(self.layer.path if path is None else path, make, innermost)

    def train_parameter(self, parameter: str, path: str | None = None) -> None:
        """Put a trainable copy in the place of a parameter of this layer, or of the one at ``path``."""
        self._train_parameter(self.layer.path if path is None else path, parameter)

    def set_attribute(self, attribute: str, value: Any, path: str | None = None) -> None:
        """Set a plain attribute of this layer, or of the one at ``path``, while the adapter is switched on."""
        self._set_attribute(self.layer.path if path is None else path, attribute, value)

    def add_to_count(self, attribute: str, amount: int, path: str | None = None) -> None:
        """Add to a count of this layer, or of the one at ``path``, until the adapter is detached or switched off."""
        self._add_to_count(self.layer.path if path is None else path, attribute, amount)


class Method(ABC, Generic[C]):
    """A PEFT method. One instance is registered; it keeps no state."""

    name: ClassVar[str]
    label: ClassVar[str]
    family: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    when_to_use: ClassVar[str] = ""
    """When to choose it, in a sentence."""
    Config: ClassVar[type[MethodConfig]]
    not_mergeable_reason: ClassVar[str] = ""
    """Why the method cannot be merged into the backbone; empty where it can."""
    default_sites: ClassVar[tuple[DefaultSites, ...]]
    """Tried in turn.

    The first that matches an accepted layer is what a drop on a block or on the backbone attaches to.
    """
    allows_mixed_slices: ClassVar[bool] = False
    """Whether an attachment to q, k, v slices may take whole layers too, the slices counting where there are any."""
    identity_at_init: ClassVar[bool] = True
    """Whether a freshly attached backbone answers exactly as it did before, bit for bit.

    On a qkv that the backbone reads past, as it does when it calls the layer: see decision 5 of ARCHITECTURE.md.
    """
    diagram: ClassVar[str] = ""
    """Where the module stands, for the diagram: one of :data:`SITS`; empty for what is usual in the family."""
    peft_type: ClassVar[str] = ""
    """HF peft's type that holds what this trains; empty where there is none."""
    learning_rate: ClassVar[float] = 1e-3
    """A learning rate for AdamW to begin with."""

    def configure(self, values: Mapping[str, Any]) -> C:
        """Check the method's fields, as strictly as those of a file; StudioError naming the first wrong one."""
        try:
            return self.Config.model_validate_json(json.dumps(dict(values), default=str), strict=True)  # type: ignore[return-value]
        except ValidationError as error:
            raise bad_value(error, self.label) from error

    @abstractmethod
    def unsupported_reason(self, layer: Layer, config: C, slices: tuple[str, ...]) -> str:
        """Why the method cannot attach to ``layer`` with ``config``, in one sentence; empty where it can."""

    @abstractmethod
    def attach(self, site: AttachmentSite[C]) -> None:
        """Attach at an accepted layer.

        Tensors are made with ``site.factory`` and never from values: it may be the meta device.
        """

    def max_values(self, sites: Sequence[Layer], slices: tuple[str, ...], layers: Sequence[Layer]) -> Mapping[str, int]:
        """The largest values of fields that still gain something at ``sites`` among all ``layers``, for forms."""
        return {}

    def unused_fields(self, sites: Sequence[Layer], layers: Sequence[Layer]) -> frozenset[str]:
        """The fields that change nothing at ``sites`` among all ``layers``; forms leave them out."""
        return frozenset()

    def finalized_config(self, config: C) -> C:
        """The fields that describe an adapter of this method after :meth:`AdaptedLayer.settle`."""
        return config

    def short_text(self, config: C) -> str:
        """A few characters that tell one configuration from another, such as ``r8``."""
        return ""

    def lr_scale(self, tensor_name: str, config: C) -> float:
        """Factor on the learning rate of the adapter tensor called ``tensor`` (its last name, such as ``lora_B``)."""
        return 1.0


def _import_builtin() -> None:
    import importlib
    import pkgutil

    import studio.peft.methods as package

    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        importlib.import_module(f"{package.__name__}.{module.name}")


METHODS: Registry[Method[Any]] = Registry(N_("PEFT method"), "peft_studio.methods", _import_builtin)

DIAGRAMS = ("weights", "beside", "scale", "after", "parallel", "tokens", "prefix", "mix")
"""Trains the weights themselves; a branch beside a linear layer; a scale of its output; a small network after or beside
a layer; tokens in front of the image's; keys and values in front of the attention's; a mixture of other adapters."""

FAMILIES = ("low rank", "scaling", "bottleneck", "tokens", "whole weights", "composition")
"""In the order in which people look for them."""


def methods_by_family() -> list[Method[Any]]:
    """All methods, family by family; a plugin's own family comes last."""
    order = {family: rank for rank, family in enumerate(FAMILIES)}
    return sorted(METHODS, key=lambda method: (order.get(method.family, len(order)), method.family))


M = TypeVar("M", bound=type[Method[Any]])


def register(cls: M) -> M:
    """Class decorator: add a method to the registry."""
    METHODS.register(cls())
    return cls


def slice_rows(layer: Layer, slices: tuple[str, ...]) -> list[tuple[int, int]]:
    """Row ranges [start, stop) of a fused qkv's weight (3A, D) for each of ``slices``, in q, k, v order."""
    width = layer.shape[0] // 3
    return [(i * width, (i + 1) * width) for i, name in enumerate("qkv") if name in slices]
