"""The things a method may change in a backbone, each of which can be switched off and undone."""

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from studio.peft.contract import AdaptedLayer


@dataclass
class ModulePatch:
    """An adapted layer stands in the place of ``parent``'s child ``name``."""

    attachment: str
    path: str
    parent: nn.Module
    name: str
    adapted_layer: AdaptedLayer
    site: str = ""

    def set_enabled(self, enabled: bool) -> None:
        """Let the adapter take part, or pass the layer's own output on."""
        self.adapted_layer.set_enabled(enabled)

    def set_scale(self, strength: float) -> None:
        """Let the adapter take part by ``strength``, 1 being as it was trained."""
        self.adapted_layer.strength = strength

    def undo(self) -> None:
        """Put back what stood there."""
        self.parent._modules[self.name] = self.adapted_layer.base_layer

    def redo(self) -> None:
        """Put the adapted layer there again."""
        self.parent._modules[self.name] = self.adapted_layer

    def tensors(self) -> dict[str, Tensor]:
        """The adapter's tensors by name."""
        return self.adapted_layer.adapter_state_dict()

    def merge(self) -> None:
        """Put the plain layer with the adapter folded in there; adapters under it go first."""
        if not isinstance(self.parent, AdaptedLayer):  # else it is folded with what stands above it
            self.parent._modules[self.name] = _merge_adapters(self.parent._modules[self.name], self.parent)


@dataclass
class ParameterPatch:
    """A trainable copy stands in the place of ``owner``'s parameter ``name``."""

    attachment: str
    path: str
    owner: nn.Module
    name: str
    original: nn.Parameter
    trained: nn.Parameter
    site: str = ""
    strength: float = 1.0

    def set_enabled(self, enabled: bool) -> None:
        """Use the trained tensor or the original one."""
        self.owner._parameters[self.name] = self._interpolated() if enabled else self.original

    def set_scale(self, strength: float) -> None:
        """Use a tensor on the line from the original (0) to the trained one (1) when next switched on."""
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
        """The trained tensor by name."""
        return {self.name: self.trained}

    def merge(self) -> None:
        """Nothing to do: the trained tensor is where it belongs."""


class _PlainAttributePatch:
    """A plain attribute of a layer: it holds no tensor, and a merged backbone has its own value of it."""

    def set_enabled(self, enabled: bool) -> None:
        """Use the new value or the original one."""
        raise NotImplementedError

    def set_scale(self, strength: float) -> None:
        """It is there or it is not."""

    def undo(self) -> None:
        """Put the original value back."""
        self.set_enabled(False)

    def redo(self) -> None:
        """Use the new value again."""
        self.set_enabled(True)

    def tensors(self) -> dict[str, Tensor]:
        """There are none."""
        return {}

    def merge(self) -> None:
        """A merged backbone has its own value."""
        self.undo()


@dataclass
class AttributePatch(_PlainAttributePatch):
    """A plain attribute of ``owner`` has another value."""

    attachment: str
    path: str
    owner: nn.Module
    name: str
    original: Any
    value: Any
    site: str = ""

    def set_enabled(self, enabled: bool) -> None:
        """Use the new value or the original one."""
        setattr(self.owner, self.name, self.value if enabled else self.original)


@dataclass
class CounterPatch(_PlainAttributePatch):
    """A count of ``owner`` is larger by ``amount``. Several add up, whichever of them are switched off."""

    attachment: str
    path: str
    owner: nn.Module
    name: str
    amount: int
    enabled: bool = False
    site: str = ""

    def set_enabled(self, enabled: bool) -> None:
        """Add the amount or take it off again."""
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
    """Draw the parameters that merging has changed back to those of ``base``: exact, as layers are linear in them."""
    if strength == 1:
        return
    for name, before in base._parameters.items():
        after = merged._parameters[name]
        if before is not None and after is not None and after is not before:
            merged._parameters[name] = nn.Parameter(_interpolate(before, after, strength), requires_grad=False)


def _interpolate(before: Tensor, after: Tensor, strength: float) -> Tensor:
    return before.detach() + strength * (after.detach() - before.detach())


def _shallow_clone(layer: nn.Module) -> nn.Module:
    """The layer with dictionaries of its own: it may stand in several places, and each folds its own adapter in."""
    if next(layer.children(), None) is not None:  # what is inside is folded where it stands
        return layer
    twin = copy.copy(layer)
    vars(twin).update(_parameters=dict(layer._parameters), _buffers=dict(layer._buffers))
    return twin
