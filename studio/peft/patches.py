"""The things a method may change in a backbone, each of which can be switched off and undone."""

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from studio.peft.contract import AdaptedLayer


@dataclass
class Replacement:
    """An adapted layer stands in the place of ``parent``'s child ``name``."""

    attachment: str
    path: str
    parent: nn.Module
    name: str
    adapted: AdaptedLayer
    site: str = ""

    def switch(self, on: bool) -> None:
        """Let the adapter take part, or pass the layer's own output on."""
        self.adapted.switch(on)

    def weigh(self, strength: float) -> None:
        """Let the adapter take part by ``strength``, 1 being as it was trained."""
        self.adapted.strength = strength

    def undo(self) -> None:
        """Put back what stood there."""
        self.parent._modules[self.name] = self.adapted.base

    def redo(self) -> None:
        """Put the adapted layer there again."""
        self.parent._modules[self.name] = self.adapted

    def tensors(self) -> dict[str, Tensor]:
        """The adapter's tensors by name."""
        return self.adapted.own_tensors()

    def fold(self) -> None:
        """Put the plain layer with the adapter folded in there; adapters under it go first."""
        if not isinstance(self.parent, AdaptedLayer):  # else it is folded with what stands above it
            self.parent._modules[self.name] = _fold(self.parent._modules[self.name], self.parent)


@dataclass
class Retraining:
    """A trainable copy stands in the place of ``owner``'s parameter ``name``."""

    attachment: str
    path: str
    owner: nn.Module
    name: str
    original: nn.Parameter
    trained: nn.Parameter
    site: str = ""
    strength: float = 1.0

    def switch(self, on: bool) -> None:
        """Use the trained tensor or the original one."""
        self.owner._parameters[self.name] = self._weighed() if on else self.original

    def weigh(self, strength: float) -> None:
        """Use a tensor on the line from the original (0) to the trained one (1) when next switched on."""
        self.strength = strength

    def _weighed(self) -> nn.Parameter:
        if self.strength == 1:
            return self.trained
        return nn.Parameter(_between(self.original, self.trained, self.strength), requires_grad=False)

    def undo(self) -> None:
        """Put the original tensor back."""
        self.switch(False)

    def redo(self) -> None:
        """Use the trained tensor again."""
        self.switch(True)

    def tensors(self) -> dict[str, Tensor]:
        """The trained tensor by name."""
        return {self.name: self.trained}

    def fold(self) -> None:
        """Nothing to do: the trained tensor is where it belongs."""


class _Attribute:
    """A plain attribute of a layer: it holds no tensor, and a merged backbone has its own value of it."""

    def switch(self, on: bool) -> None:
        """Use the new value or the original one."""
        raise NotImplementedError

    def weigh(self, strength: float) -> None:
        """It is there or it is not."""

    def undo(self) -> None:
        """Put the original value back."""
        self.switch(False)

    def redo(self) -> None:
        """Use the new value again."""
        self.switch(True)

    def tensors(self) -> dict[str, Tensor]:
        """There are none."""
        return {}

    def fold(self) -> None:
        """A merged backbone has its own value."""
        self.undo()


@dataclass
class Assignment(_Attribute):
    """A plain attribute of ``owner`` has another value."""

    attachment: str
    path: str
    owner: nn.Module
    name: str
    original: Any
    value: Any
    site: str = ""

    def switch(self, on: bool) -> None:
        """Use the new value or the original one."""
        setattr(self.owner, self.name, self.value if on else self.original)


@dataclass
class Increase(_Attribute):
    """A count of ``owner`` is larger by ``amount``. Several add up, whichever of them are switched off."""

    attachment: str
    path: str
    owner: nn.Module
    name: str
    amount: int
    on: bool = False
    site: str = ""

    def switch(self, on: bool) -> None:
        """Add the amount or take it off again."""
        if on != self.on:
            self.on = on
            setattr(self.owner, self.name, getattr(self.owner, self.name) + (self.amount if on else -self.amount))


Change = Replacement | Retraining | Assignment | Increase


def _fold(layer: nn.Module | None, parent: nn.Module) -> nn.Module | None:
    if not isinstance(layer, AdaptedLayer):
        return layer
    base = _fold(layer.base, parent)
    assert base is not None
    if not layer.enabled:
        return base
    merged = layer.merged(_apart(base))
    _weaken(merged, base, layer.strength)
    outside = copy.copy(parent)
    vars(outside)["_parameters"] = dict(parent._parameters)
    layer.merge_outside(parent)
    _weaken(parent, outside, layer.strength)
    return merged


def _weaken(merged: nn.Module, base: nn.Module, strength: float) -> None:
    """Draw the parameters that merging has changed back to those of ``base``: exact, as layers are linear in them."""
    if strength == 1:
        return
    for name, before in base._parameters.items():
        after = merged._parameters[name]
        if before is not None and after is not None and after is not before:
            merged._parameters[name] = nn.Parameter(_between(before, after, strength), requires_grad=False)


def _between(before: Tensor, after: Tensor, strength: float) -> Tensor:
    return before.detach() + strength * (after.detach() - before.detach())


def _apart(layer: nn.Module) -> nn.Module:
    """The layer with dictionaries of its own: it may stand in several places, and each folds its own adapter in."""
    if next(layer.children(), None) is not None:  # what is inside is folded where it stands
        return layer
    twin = copy.copy(layer)
    vars(twin).update(_parameters=dict(layer._parameters), _buffers=dict(layer._buffers))
    return twin
