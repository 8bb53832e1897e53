"""Convert a backbone with attachments to what HF peft stores."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from studio.backbones.layer_roles import classifier_paths
from studio.core.errors import StudioError
from studio.peft.attach import AdaptedModel
from studio.peft.contract import AdaptedLayer
from studio.peft.hf.form import PeftForm
from studio.peft.hf.keys import PeftFolder, PeftState, tensor_key
from studio.peft.param_counts import HEAD
from studio.peft.patches import ModulePatch, ParameterPatch, Patch

_COMMON: Mapping[str, Any] = {
    "auto_mapping": None,
    "base_model_name_or_path": None,
    "inference_mode": True,
    "revision": None,
    "task_type": None,
}


def to_peft(model: AdaptedModel) -> PeftFolder:
    """Return what HF peft stores for all enabled attachments; the head goes under ``modules_to_save``.

    So do norms that train beside another method. Raises StudioError with the reason if HF peft has no form for an
    attachment, or none for the mix. The tensors are copies on the CPU.
    """
    patches = [patch for patch in model.patches if model.is_enabled(patch.attachment)]
    forms = _forms(model, patches)
    paths = [layer.path for layer in model.layers]
    trained = list(dict.fromkeys(p.path for p in patches if isinstance(p, ParameterPatch) and p.attachment != HEAD))
    heads = classifier_paths(model.module) if model.is_enabled(HEAD) else ()
    chains = _adapter_chains(patches)
    state = _layer_form(forms).to_state(chains, paths) if chains else None
    saved = [*heads, *(trained if state else ())]
    state = state or _parameter_state(forms, trained, model.module, paths)
    config = {"peft_type": state.peft_type, **_COMMON, **state.config, "modules_to_save": saved or None}
    tensors = state.tensors | _modules_to_save_tensors(saved, model.module, paths)
    return PeftFolder(config, {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})


def _forms(model: AdaptedModel, patches: Sequence[Patch]) -> dict[str, PeftForm]:
    """Return the forms of all attachments by type; StudioError if a method has none or the types cannot be mixed."""
    forms: dict[str, PeftForm] = {}
    for name in {patch.attachment for patch in patches}:
        method = model.method(name)
        if method is not None and method.peft_form is None:
            raise StudioError(
                "no-peft-form",
                "HF peft has no form for {method} on images. Choose another format.",
                method=method.label,
            )
        if method is not None and method.peft_form is not None:
            forms[method.peft_form.peft_type] = method.peft_form
    types = sorted(name for name, form in forms.items() if not form.stores_parameters)
    if len(types) > 1:
        raise StudioError(
            "no-peft-form",
            "HF peft stores one type in a folder, but the attachments have several: {types}. Choose another format.",
            types=", ".join(types),
        )
    return forms


def _layer_form(forms: Mapping[str, PeftForm]) -> PeftForm:
    return next(form for form in forms.values() if not form.stores_parameters)


def _adapter_chains(patches: Sequence[Patch]) -> dict[str, list[AdaptedLayer]]:
    """Return the enabled adapters of each layer, the innermost first."""
    modules = {p.path: p.parent._modules[p.name] for p in patches if isinstance(p, ModulePatch)}
    return {path: [layer for layer in reversed(list(_stack(top))) if layer.enabled] for path, top in modules.items()}


def _stack(layer: nn.Module | None) -> Iterator[AdaptedLayer]:
    while isinstance(layer, AdaptedLayer):
        yield layer
        layer = layer.base_layer


def _parameter_state(
    forms: Mapping[str, PeftForm], trained: Sequence[str], module: nn.Module, paths: Sequence[str]
) -> PeftState:
    """Return the state of layers whose own parameters train, without any adapter."""
    states = (form.parameter_state(trained, module, paths) for form in forms.values() if trained)
    state = next((state for state in states if state), None)
    if state is None:
        raise StudioError(
            "no-peft-form",
            "HF peft has no form for a head that trains alone. Choose another format.",
        )
    return state


def _modules_to_save_tensors(saved: Sequence[str], module: nn.Module, paths: Sequence[str]) -> dict[str, Tensor]:
    """Return all tensors of the layers that HF peft saves whole, including others that end with the same name."""
    ends = tuple(saved)
    found = [path for path in paths if ends and path.endswith(ends)]
    states = {path: _plain_state(module.get_submodule(path), path) for path in found}
    return {tensor_key(path, name): tensor for path, state in states.items() for name, tensor in state.items()}


def _plain_state(layer: nn.Module, path: str) -> dict[str, Tensor]:
    if any(isinstance(inner, AdaptedLayer) for inner in layer.modules()):
        raise StudioError(
            "no-peft-form",
            "HF peft would save {layer} as a whole, but it is adapted. Choose another format.",
            layer=path,
        )
    return layer.state_dict()
