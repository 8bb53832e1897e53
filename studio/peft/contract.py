"""The contract between the engine and a PEFT method, which is one file in ``studio/peft/methods``.

A method says which layers it accepts (:meth:`Method.unsupported_reason`), attaches there (:meth:`Method.attach`,
through an :class:`AttachmentSite`, whose changes the engine records and undoes), and merges if it can
(:meth:`AdaptedLayer.merged_module`).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from studio.core.layers import Layer, Role
from studio.core.messages import N_
from studio.core.registry import Registry, import_package
from studio.core.validation import bad_value
from studio.peft.method_info import MethodInfo

if TYPE_CHECKING:
    from studio.peft.attach import AdaptedModel
    from studio.peft.hf.form import PeftForm


class MethodConfig(BaseModel):
    """The fields of a method, each with a title, a description, a default and bounds.

    The form, the help and the check of a recipe are made from them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


C = TypeVar("C", bound=MethodConfig)


@dataclass(frozen=True, slots=True)
class DefaultSites:
    """The default targets of a method: layers with one of ``roles``, and the slices of a fused qkv among them."""

    roles: tuple[Role, ...]
    slices: tuple[str, ...] = ()


class AdaptedLayer(nn.Module):
    """A layer of the backbone, ``base_layer``, together with an adapter; it stands in the layer's place.

    Everything outside ``base_layer`` belongs to the adapter. An attribute that is missing here is looked up on the
    layer, so that code that asks an attention for its ``num_heads`` still gets it.
    """

    may_skip_steps: bool = False
    """Whether it is left out of some steps by design (a random depth), so that a missing gradient is no error."""
    not_scalable_reason: ClassVar[str] = ""
    """Why it has no strength between off and on, as one sentence; empty if it has one."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base_layer = base
        self.enabled = True
        self.strength = 1.0
        self.training = False

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the layer with its adapter, or the layer alone while the attachment is disabled."""
        if not self.enabled:
            return self.base_layer(*args, **kwargs)
        return self.forward_adapted(*args, **kwargs) if self.strength == 1 else self.forward_scaled(*args, **kwargs)

    def forward_scaled(self, *args: Any, **kwargs: Any) -> Any:
        """Interpolate linearly from the layer alone (strength 0) to the layer with its adapter (1) and beyond.

        A layer whose :meth:`forward_adapted` already applies ``strength`` sets ``forward_scaled = forward_adapted``.
        """
        output = self.base_layer(*args, **kwargs)
        return output + self.strength * (self.forward_adapted(*args, **kwargs) - output)

    def set_enabled(self, enabled: bool) -> None:
        """Enable the adapter, or let the layer work alone."""
        self.enabled = enabled

    def draw_depths_from(self, generator: torch.Generator) -> None:
        """Draw a random depth, if the layer has one, from ``generator`` in all further training steps.

        Distributed training calls it on every adapted layer: its processes must draw the same depths, or they average
        gradients of different graphs. ``generator`` is seeded alike in all processes before each step.
        """

    def forward_adapted(self, *args: Any, **kwargs: Any) -> Any:
        """Run the layer with its adapter."""
        raise NotImplementedError

    def merged_module(self, base: nn.Module) -> nn.Module:
        """Merge the adapter into ``base``, a plain copy of the layer that may change; return the merged layer."""
        raise NotImplementedError

    def merge_into_parent(self, parent: nn.Module) -> None:
        """Merge into tensors that ``parent``, a plain copy of the layer's parent, holds outside of the layer.

        Called after :meth:`merged_module`. An example is timm's BEiT, whose attention holds the bias of its qkv.
        """

    def finalize(self) -> None:
        """Replace tensors that only training needs by their result; the output stays the same."""

    @property
    def unwrapped(self) -> nn.Module:
        """The backbone's own layer, below all adapters."""
        return self.base_layer.unwrapped if isinstance(self.base_layer, AdaptedLayer) else self.base_layer

    def adapter_state_dict(self) -> dict[str, Tensor]:
        """Return the adapter's parameters and persistent buffers by name, without the layer's."""
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
        """Set the mode of the adapter; the frozen layer below keeps its own."""
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
    """One layer to which one attachment is being attached, and the changes that the method may make there.

    The engine carries the changes out and undoes them. ``module`` is the layer, ``config`` and ``slices`` come from
    the recipe, and ``shared`` is one dictionary for all sites of the attachment.
    """

    attachment: str
    layer: Layer
    module: nn.Module
    config: C
    slices: tuple[str, ...]
    shared: dict[str, Any]
    adapted_model: AdaptedModel = field(repr=False)

    @property
    def model(self) -> nn.Module:
        """The backbone, in which other attachments may already be."""
        return self.adapted_model.module

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The rows of the backbone's layer tree."""
        return self.adapted_model.layers

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The backbone's own layers by path, below all adapters."""
        return self.adapted_model.backbone_modules

    @property
    def factory_kwargs(self) -> dict[str, Any]:
        """``device`` and ``dtype`` of the layer, for the tensors of the adapter."""
        tensor = next(self.module.parameters(), None)
        tensor = next(self.model.parameters()) if tensor is None else tensor
        return {"device": tensor.device, "dtype": tensor.dtype}

    def backbone_identity(self) -> str:
        """Return :func:`studio.backbones.loading.weights_digest` of the bare backbone."""
        return self.adapted_model.backbone_identity()

    def skip_first_blocks(self, blocks: int) -> None:
        """Disable all attachments in the first ``blocks`` blocks, until the next call."""
        self.adapted_model.skip_first_blocks(self.attachment, blocks)

    def replace(
        self, make: Callable[[nn.Module], AdaptedLayer], path: str | None = None, *, innermost: bool = False
    ) -> None:
        """Replace this layer, or the one at ``path``, by ``make(current module)``.

        ``innermost`` inserts below the adapters that are already there, next to the backbone's own layer.
        """
        self.adapted_model.replace_module(self.attachment, self._path(path), make, innermost)

    def train_parameter(self, parameter: str, path: str | None = None) -> None:
        """Replace a parameter of this layer, or of the one at ``path``, by a trainable copy."""
        self.adapted_model.train_parameter(self.attachment, self._path(path), parameter)

    def add_to_count(self, attribute: str, amount: int, path: str | None = None) -> None:
        """Add to an integer attribute of this layer, or of the one at ``path``, while the attachment is enabled."""
        self.adapted_model.add_to_count(self.attachment, self._path(path), attribute, amount)

    def _path(self, path: str | None) -> str:
        return self.layer.path if path is None else path


class Method(ABC, Generic[C]):
    """A PEFT method. One stateless instance is registered."""

    name: ClassVar[str]
    label: ClassVar[str]
    family: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    info: ClassVar[MethodInfo] = MethodInfo()
    """How the method is shown; empty fields are filled from the class."""
    Config: ClassVar[type[MethodConfig]]
    not_mergeable_reason: ClassVar[str] = ""
    """Why the method cannot be merged into the backbone, as one sentence; empty if it can."""
    default_sites: ClassVar[tuple[DefaultSites, ...]]
    """Tried in order.

    The first that matches an accepted layer is the target of a drop on a block or on the backbone.
    """
    allows_mixed_slices: ClassVar[bool] = False
    """Whether an attachment to q, k, v slices may take whole layers too; slices then count only for a fused qkv."""
    identity_at_init: ClassVar[bool] = True
    """Whether a freshly attached backbone has the same output as before, bit for bit.

    A qkv whose weight timm reads without calling the layer is compared with the output of calling it (decision 5 of
    ARCHITECTURE.md).
    """
    peft_form: ClassVar[PeftForm | None] = None
    """How HF peft stores what this method trains; None if it cannot."""
    learning_rate: ClassVar[float] = 1e-3
    """The default learning rate for AdamW."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in vars(cls):
            cls.info = cls.info.completed(cls.__doc__ or "", cls.family, tuple(cls.Config.model_fields))

    def configure(self, values: Mapping[str, Any]) -> C:
        """Check the method's fields, as strictly as those of a file; StudioError naming the first wrong one."""
        try:
            return self.Config.model_validate_json(json.dumps(dict(values), default=str), strict=True)  # type: ignore[return-value]
        except ValidationError as error:
            raise bad_value(error, self.label) from error

    @abstractmethod
    def unsupported_reason(self, layer: Layer, config: C, slices: tuple[str, ...]) -> str:
        """Return why the method cannot attach to ``layer`` with ``config``, as one sentence; empty if it can."""

    @abstractmethod
    def attach(self, site: AttachmentSite[C]) -> None:
        """Attach at an accepted layer.

        Make tensors with ``site.factory_kwargs`` and never from values: the layer may be on the meta device.
        """

    def max_values(self, sites: Sequence[Layer], slices: tuple[str, ...], layers: Sequence[Layer]) -> Mapping[str, int]:
        """Return the largest useful values of integer fields at ``sites`` among all ``layers``, for forms."""
        return {}

    def unused_fields(self, sites: Sequence[Layer], layers: Sequence[Layer]) -> frozenset[str]:
        """Return the fields without effect at ``sites`` among all ``layers``; forms leave them out."""
        return frozenset()

    def finalized_config(self, config: C) -> C:
        """Return the fields that describe an adapter of this method after :meth:`AdaptedLayer.finalize`."""
        return config

    def lr_scale(self, tensor_name: str, config: C) -> float:
        """Return the learning rate factor of the adapter tensors with this last name, such as ``lora_B``."""
        return 1.0


METHODS: Registry[Method[Any]] = Registry(
    N_("PEFT method"), "peft_studio.methods", partial(import_package, "studio.peft.methods")
)

FAMILIES: tuple[str, ...] = (
    N_("low rank"),
    N_("scaling"),
    N_("bottleneck"),
    N_("tokens"),
    N_("selective"),
    N_("composition"),
)
"""The families in display order; a plugin may have one of its own."""


def methods_by_family() -> list[Method[Any]]:
    """Return all methods, family by family; a plugin's own family comes last."""
    order = {family: rank for rank, family in enumerate(FAMILIES)}
    return sorted(METHODS, key=lambda method: (order.get(method.family, len(order)), method.family))


M = TypeVar("M", bound=type[Method[Any]])


def register(cls: M) -> M:
    """Add a method to the registry (class decorator)."""
    METHODS.register(cls())
    return cls


def slice_rows(layer: Layer, slices: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return the row range [start, stop) in a fused qkv's weight (3A, D) of each of ``slices``, in q, k, v order."""
    width = layer.shape[0] // 3
    return [(i * width, (i + 1) * width) for i, name in enumerate("qkv") if name in slices]
