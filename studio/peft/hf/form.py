"""How HF peft stores a method: its type, its tensors, and the keys of its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from studio.core.errors import StudioError
from studio.core.layers import Layer
from studio.peft.contract import METHODS, AdaptedLayer
from studio.peft.hf.config import PeftConfig
from studio.peft.hf.keys import PeftState, target_modules, tensor_key

Chains = Mapping[str, Sequence[Any]]
"""Adapted layers by path, the innermost first."""
TensorsByLayer = dict[str, dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class ConvertedAdapter:
    """One of our methods at one layer: its slices, its fields, and its tensors by name."""

    path: str
    method: str
    slices: tuple[Any, ...]
    config: dict[str, Any]
    tensors: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class PeftLayer:
    """The ``tensors`` that a folder of HF peft has for one layer, by HF peft's names.

    ``trained`` are the backbone's own parameters in the folder by layer path; a form removes those that it explains.
    """

    layer: Layer
    tensors: Mapping[str, Tensor]
    config: PeftConfig
    module: nn.Module
    trained: TensorsByLayer


def _no_config(layer: Any) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class PeftForm:
    """How HF peft stores the adapters of a method.

    ``tensors`` maps HF peft's names to attributes of the adapted layer, and ``config`` returns the keys of
    ``adapter_config.json`` for such a layer, which must be the same for all. A subclass may combine several adapters
    of one layer (:meth:`to_state`) and read folders (:meth:`from_layer`).
    """

    stores_parameters: ClassVar[bool] = False
    """Whether it is for layers whose own parameters train, without an adapter (:meth:`parameter_state`)."""

    peft_type: str
    tensors: Mapping[str, str] = field(default_factory=dict)
    config: Callable[[Any], Mapping[str, Any]] = _no_config

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """HF peft's names for the tensors that it adds to a layer."""
        return tuple(self.tensors)

    def to_state(self, chains: Chains, paths: Sequence[str]) -> PeftState:
        """Return what HF peft stores for adapted layers; ``paths`` are all layers of the backbone."""
        layers = {path: self._only_adapter(path, chain) for path, chain in chains.items()}
        configs = [dict(self.config(layer)) for layer in layers.values()]
        if any(config != configs[0] for config in configs):
            raise StudioError(
                "no-peft-form",
                "HF peft cannot store {type} with different settings in one folder. Choose another format.",
                type=self.peft_type,
            )
        tensors = {
            tensor_key(path, name): getattr(layer, attribute).detach()
            for path, layer in layers.items()
            for name, attribute in self.tensors.items()
        }
        return PeftState(self.peft_type, {**configs[0], "target_modules": target_modules(list(chains), paths)}, tensors)

    def _only_adapter(self, path: str, chain: Sequence[Any]) -> AdaptedLayer:
        if len(chain) > 1:
            raise StudioError(
                "no-peft-form",
                "HF peft cannot store several {type} adapters in {layer}. Choose another format.",
                type=self.peft_type,
                layer=path,
            )
        adapter: AdaptedLayer = chain[0]
        return adapter

    def parameter_state(self, layers: Sequence[str], module: nn.Module, paths: Sequence[str]) -> PeftState | None:
        """Return what HF peft stores if the parameters of ``layers`` train themselves; None if it has no such type."""
        return None

    def from_layer(self, given: PeftLayer) -> list[ConvertedAdapter]:
        """Return our adapters for what a folder has at one layer; StudioError if this form cannot be read."""
        raise StudioError(
            "unsupported-format",
            "Cannot read this folder of HF peft: {type} can only be exported. Choose another adapter.",
            type=self.peft_type,
        )


def peft_forms() -> dict[str, PeftForm]:
    """Return the forms of all methods by HF peft's type."""
    return {method.peft_form.peft_type: method.peft_form for method in METHODS if method.peft_form}
