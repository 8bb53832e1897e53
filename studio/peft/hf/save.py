"""From an attached backbone to what HF peft stores."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from studio.backbones.layer_roles import classifier_paths
from studio.core.errors import StudioError
from studio.peft.attach import AdaptedModel
from studio.peft.contract import AdaptedLayer
from studio.peft.hf import ia3, lora
from studio.peft.hf.keys import OTHER_FORMATS, PeftFolder, PeftState, target_modules, tensor_key
from studio.peft.methods.lora import LowRankLayer
from studio.peft.param_counts import HEAD
from studio.peft.patches import ModulePatch, ParameterPatch, Patch

_COMMON: Mapping[str, Any] = {
    "auto_mapping": None,
    "base_model_name_or_path": None,
    "inference_mode": True,
    "revision": None,
    "task_type": None,
}


def to_peft(attached: AdaptedModel) -> PeftFolder:
    """What HF peft stores for everything that is attached and switched on, the head under ``modules_to_save``.

    Norms that train beside another method go there too. Raises StudioError with the reason where HF peft has no form
    for an attachment, or none for the mix. The tensors are copies, on the CPU.
    """
    changes = [change for change in attached.patches if attached.is_enabled(change.attachment)]
    _check_representable(attached, changes)
    paths = [layer.path for layer in attached.layers]
    norms = list(dict.fromkeys(c.path for c in changes if isinstance(c, ParameterPatch) and c.attachment != HEAD))
    heads = classifier_paths(attached.module) if attached.is_enabled(HEAD) else ()
    form = _layer_state(_adapter_chains(changes), paths)
    saved = [*heads, *(norms if form else ())]
    form = form or _norm_state(norms, attached.module, paths)
    config = {"peft_type": form.peft_type, **_COMMON, **form.config, "modules_to_save": saved or None}
    tensors = form.tensors | _modules_to_save_tensors(saved, attached.module, paths)
    return PeftFolder(config, {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})


def _check_representable(attached: AdaptedModel, changes: Sequence[Patch]) -> None:
    methods = [method for name in {c.attachment for c in changes} if (method := attached.method(name))]
    for method in methods:
        if not method.peft_type:
            raise StudioError(f"HF peft has no form for {method.label} on images; {OTHER_FORMATS}.")
    types = sorted({method.peft_type for method in methods} - {"LN_TUNING"})
    if len(types) > 1:
        raise StudioError(f"HF peft holds one type in a folder, and here are {' and '.join(types)}; {OTHER_FORMATS}.")


def _adapter_chains(changes: Sequence[Patch]) -> dict[str, list[AdaptedLayer]]:
    """The adapted layers that stand in each layer's place, the innermost first."""
    places = {c.path: c.parent._modules[c.name] for c in changes if isinstance(c, ModulePatch)}
    return {path: [layer for layer in reversed(list(_stack(top))) if layer.enabled] for path, top in places.items()}


def _stack(layer: nn.Module | None) -> Iterator[AdaptedLayer]:
    while isinstance(layer, AdaptedLayer):
        yield layer
        layer = layer.base_layer


def _layer_state(chains: Mapping[str, list[AdaptedLayer]], paths: Sequence[str]) -> PeftState | None:
    """The form of replaced layers; None where there are none."""
    if not chains:
        return None
    if all(isinstance(layer, LowRankLayer) for chain in chains.values() for layer in chain):
        return lora.to_peft_state(cast("Mapping[str, list[LowRankLayer]]", chains), paths)
    return ia3.to_peft_state(chains, paths)


def _norm_state(norms: Sequence[str], module: nn.Module, paths: Sequence[str]) -> PeftState:
    """LayerNorm tuning by itself: the trained norms as they are."""
    if not norms:
        raise StudioError(f"HF peft has no form for a head that was trained alone; {OTHER_FORMATS}.")
    tensors: dict[str, Tensor] = {
        tensor_key(path, f"ln_tuning_layers.{name}"): tensor
        for path in norms
        for name, tensor in module.get_submodule(path).named_parameters()
    }
    return PeftState("LN_TUNING", {"target_modules": target_modules(norms, paths)}, tensors)


def _modules_to_save_tensors(saved: Sequence[str], module: nn.Module, paths: Sequence[str]) -> dict[str, Tensor]:
    """Everything in the layers that HF peft saves whole, those included that it takes for them by the end of a name."""
    ends = tuple(saved)
    found = [path for path in paths if ends and path.endswith(ends)]
    states = {path: _plain_state(module.get_submodule(path), path) for path in found}
    return {tensor_key(path, name): tensor for path, state in states.items() for name, tensor in state.items()}


def _plain_state(layer: nn.Module, path: str) -> dict[str, Tensor]:
    if any(isinstance(inner, AdaptedLayer) for inner in layer.modules()):
        raise StudioError(
            f"HF peft would take {path} for a layer that is saved whole, but it is adapted; {OTHER_FORMATS}."
        )
    return layer.state_dict()
