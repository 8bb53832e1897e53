"""The changes that a method may make to a backbone; each can be disabled and undone."""

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from studio.peft.contract import AdaptedLayer


@dataclass
class ModulePatch:
    """An adapted layer in the place of ``parent``'s child ``name``."""

    attachment: str
    path: str
    parent: nn.Module
    name: str
    adapted_layer: AdaptedLayer
    site: str = ""

    def set_enabled(self, enabled: bool) -> None:
        """Enable the adapter, or let the layer work alone."""
        self.adapted_layer.set_enabled(enabled)

    def set_scale(self, strength: float) -> None:
        """Set the strength of the adapter; 1 is as trained."""
        self.adapted_layer.strength = strength

    def undo(self) -> None:
        """Put the original layer back."""
        self.parent._modules[self.name] = self.adapted_layer.base_layer

    def redo(self) -> None:
        """Put the adapted layer in its place again."""
        self.parent._modules[self.name] = self.adapted_layer

    def tensors(self) -> dict[str, Tensor]:
        """Return the adapter's tensors by name."""
        return self.adapted_layer.adapter_state_dict()

    def merge(self) -> None:
        """Put the merged plain layer in its place; adapters below are merged first."""
        if not isinstance(self.parent, AdaptedLayer):  # else the adapter above merges it
            self.parent._modules[self.name] = _merge_adapters(self.parent._modules[self.name], self.parent)


@dataclass
class ParameterPatch:
    """A trainable copy in the place of ``owner``'s parameter ``name``."""

    attachment: str
    path: str
    owner: nn.Module
    name: str
    original: nn.Parameter
    trained: nn.Parameter
    site: str = ""
    strength: float = 1.0

    def set_enabled(self, enabled: bool) -> None:
        """Use the trained tensor or the original."""
        self.owner._parameters[self.name] = self._interpolated() if enabled else self.original

    def set_scale(self, strength: float) -> None:
        """Interpolate from the original tensor (0) to the trained one (1) when next enabled."""
        self.strength = strength

    def _interpolated(self) -> nn.Parameter:
        if self.strength == 1:
            return self.trained
        return nn.Parameter(_interpolate(self.original, self.trained, self.strength), requires_grad=False)

    def undo(self) -> None:
        """Put the original tensor back."""
        self.set_enabled(False)

    def redo(self) -> None:
        """Use the trained tensor again."""
        self.set_enabled(True)

    def tensors(self) -> dict[str, Tensor]:
        """Return the trained tensor by name."""
        return {self.name: self.trained}

    def merge(self) -> None:
        """Do nothing: the trained tensor is in its place already."""


class _PlainAttributePatch:
    """A change of a plain attribute: it holds no tensor, and a merged backbone has the original value."""

    def set_enabled(self, enabled: bool) -> None:
        """Use the new value or the original."""
        raise NotImplementedError

    def set_scale(self, strength: float) -> None:
        """Do nothing: the change is made or not."""

    def undo(self) -> None:
        """Put the original value back."""
        self.set_enabled(False)

    def redo(self) -> None:
        """Use the new value again."""
        self.set_enabled(True)

    def tensors(self) -> dict[str, Tensor]:
        """Return no tensors."""
        return {}

    def merge(self) -> None:
        """Put the original value back."""
        self.undo()


@dataclass
class AttributePatch(_PlainAttributePatch):
    """Another value of a plain attribute of ``owner``."""

    attachment: str
    path: str
    owner: nn.Module
    name: str
    original: Any
    value: Any
    site: str = ""

    def set_enabled(self, enabled: bool) -> None:
        """Use the new value or the original."""
        setattr(self.owner, self.name, self.value if enabled else self.original)


@dataclass
class CounterPatch(_PlainAttributePatch):
    """``amount`` added to an integer attribute of ``owner``; several add up, whichever of them are enabled."""

    attachment: str
    path: str
    owner: nn.Module
    name: str
    amount: int
    enabled: bool = False
    site: str = ""

    def set_enabled(self, enabled: bool) -> None:
        """Add the amount or subtract it again."""
        if enabled != self.enabled:
            self.enabled = enabled
            setattr(self.owner, self.name, getattr(self.owner, self.name) + (self.amount if enabled else -self.amount))


Patch = ModulePatch | ParameterPatch | AttributePatch | CounterPatch


def _merge_adapters(layer: nn.Module | None, parent: nn.Module) -> nn.Module | None:
    if not isinstance(layer, AdaptedLayer):
        return layer
    base = _merge_adapters(layer.base_layer, parent)
    assert base is not None
    if not layer.enabled:
        return base
    merged = layer.merged_module(_shallow_clone(base))
    _scale_merged(merged, base, layer.strength)
    outside = copy.copy(parent)
    vars(outside)["_parameters"] = dict(parent._parameters)
    layer.merge_into_parent(parent)
    _scale_merged(parent, outside, layer.strength)
    return merged


def _scale_merged(merged: nn.Module, base: nn.Module, strength: float) -> None:
    """Interpolate merged parameters between ``base`` and full strength: exact, because layers are linear in them."""
    if strength == 1:
        return
    for name, before in base._parameters.items():
        after = merged._parameters[name]
        if before is not None and after is not None and after is not before:
            merged._parameters[name] = nn.Parameter(_interpolate(before, after, strength), requires_grad=False)


def _interpolate(before: Tensor, after: Tensor, strength: float) -> Tensor:
    return before.detach() + strength * (after.detach() - before.detach())


def _shallow_clone(layer: nn.Module) -> nn.Module:
    """Copy the layer with its own dictionaries: it may be shared, and each place merges its own adapter."""
    if next(layer.children(), None) is not None:  # children are merged in their own place
        return layer
    twin = copy.copy(layer)
    vars(twin).update(_parameters=dict(layer._parameters), _buffers=dict(layer._buffers))
    return twin
