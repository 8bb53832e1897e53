"""A Hugging Face peft folder: ``peft.PeftModel.from_pretrained(timm_model, DIR)``. Written without peft.

Only the configuration's stable keys are written, and full layer names; both were tried with peft 0.21.2.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from studio.backbones.anatomy import head_paths
from studio.core.errors import StudioError
from studio.core.files import write_json
from studio.export import peft_low_rank, peft_norms, peft_scaling
from studio.export.backbone import describe as describe_backbone
from studio.export.backbone import rebuild
from studio.export.contract import SHIPPED, Exporter, Subject, register
from studio.export.peft_form import ELSEWHERE, PeftForm, tensor_name
from studio.peft import Attached
from studio.peft.changes import Replacement
from studio.peft.contract import AdaptedLayer, Method

TYPES = {
    "lora": "LORA",
    "rslora": "LORA",
    "dora": "LORA",
    "pissa": "LORA",
    "ia3": "IA3",
    "norm_tuning": "LN_TUNING",
}
"""HF peft's type for each of our methods that it can hold."""

_FOLD: dict[str, Callable[[nn.Module, Mapping[str, Any], Mapping[str, Tensor]], None]] = {
    "LORA": peft_low_rank.fold,
    "IA3": peft_scaling.fold,
    "LN_TUNING": peft_norms.fold,
}


@register
class Peft(Exporter):
    """``adapter_config.json`` and ``adapter_model.safetensors``, with the head under ``modules_to_save``.

    The sums are those of the live model in another order, as for a merged one, so the tolerance is the same.
    """

    name = "peft"
    label = "HF peft adapter"
    summary = "The adapter and the head as Hugging Face peft reads them, to go onto the same timm backbone."
    marker = "adapter_config.json"
    script = SHIPPED / "predict_peft.py"
    verifies_with = ("peft",)

    def refuses(self, method: Method[Any]) -> str:
        """HF peft has forms for the LoRA family, (IA)^3 and LayerNorm tuning."""
        return "" if method.name in TYPES else f"HF peft has no form for {method.label} on images."

    def write(self, subject: Subject, folder: Path) -> None:
        """Write the two files of HF peft, and ``backbone.json``, which says how timm makes the backbone."""
        paths, form = _form(subject.attached)
        heads = head_paths(subject.attached.module)
        config = {
            "peft_type": form.peft_type,
            "auto_mapping": None,
            "base_model_name_or_path": None,
            "inference_mode": True,
            "modules_to_save": list(heads) or None,
            "revision": None,
            "target_modules": paths,
            "task_type": None,
        }
        tensors = form.tensors | _heads(subject.attached.module, heads)
        plain = {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}
        save_file(plain, folder / "adapter_model.safetensors", {"format": "pt"})
        write_json(folder / "adapter_config.json", config | form.config)
        write_json(folder / "backbone.json", describe_backbone(subject, paths))

    def load(self, folder: Path) -> Callable[[Tensor], Tensor]:
        """The backbone with the adapter folded into its weights, without peft."""
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "adapter_model.safetensors")
        module = rebuild(json.loads((folder / "backbone.json").read_text(encoding="utf-8")))
        with torch.no_grad():
            _FOLD[config["peft_type"]](module, config, tensors)
            for path in config["modules_to_save"] or ():
                for name, parameter in module.get_submodule(path).named_parameters():
                    parameter.copy_(tensors[tensor_name(path, name)])
        return module.eval()


def _form(attached: Attached) -> tuple[list[str], PeftForm]:
    """The adapted layers' paths, and what HF peft stores for them; StudioError where one type cannot hold it all."""
    layers = _adapted_layers(attached)
    norms = _trained(attached)
    types = {TYPES[name] for name in _methods(attached)}
    if not layers and not norms:
        raise StudioError(f"HF peft has no form for a head that was trained alone; {ELSEWHERE}.")
    if len(types) > 1:
        raise StudioError(
            f"HF peft holds one type in a folder, and this run has {' and '.join(sorted(types))}; {ELSEWHERE}."
        )
    if norms:
        return list(norms), peft_norms.form(norms)
    return list(layers), (peft_scaling if types == {"IA3"} else peft_low_rank).form(layers)


def _methods(attached: Attached) -> set[str]:
    found = (attached.method(change.attachment) for change in attached.changes)
    return {method.name for method in found if method is not None}


def _adapted_layers(attached: Attached) -> dict[str, list[AdaptedLayer]]:
    """What stands in each adapted layer's place, in the order of attachment."""
    layers: dict[str, list[AdaptedLayer]] = {}
    for change in attached.changes:
        if isinstance(change, Replacement):
            layers.setdefault(change.path, []).append(change.adapted)
    return layers


def _trained(attached: Attached) -> dict[str, dict[str, Tensor]]:
    """The backbone's own parameters that trained, by layer path and name; not the head's."""
    found: dict[str, dict[str, Tensor]] = {}
    replaced = _adapted_layers(attached)
    for attachment, path, name, tensor in attached.named_tensors():
        if attached.method(attachment) is not None and path not in replaced:
            found.setdefault(path, {})[name] = tensor
    return found


def _heads(module: nn.Module, heads: tuple[str, ...]) -> dict[str, Tensor]:
    states = {path: module.get_submodule(path).state_dict() for path in heads}
    return {tensor_name(path, name): tensor for path, state in states.items() for name, tensor in state.items()}
