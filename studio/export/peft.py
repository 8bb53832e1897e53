"""A Hugging Face peft folder: ``peft.PeftModel.from_pretrained(timm_model, DIR)``. Written without peft.

What HF peft stores for each kind of adapted layer is a function of its own, registered with :func:`form`. Only the
configuration's stable keys are written, and full layer names; both were tried with peft 0.21.2.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from studio.backbones.anatomy import head_paths
from studio.core.errors import StudioError
from studio.core.files import write_json
from studio.export.backbone import describe as describe_backbone
from studio.export.backbone import rebuild
from studio.export.contract import SHIPPED, Exporter, Subject, register
from studio.peft.contract import AdaptedLayer, Method
from studio.peft.methods.low_rank import LoRAConv2d, LoRALinear

PREFIX = "base_model.model."
TYPES = {"lora": "LORA"}
"""HF peft's type for each of our methods that it can hold."""


@dataclass(frozen=True, slots=True)
class LowRank:
    """An update ``scale * B A`` as HF peft stores it: ``a`` (r, in[, h, w]), ``b`` (out, r[, 1, 1])."""

    a: Tensor
    b: Tensor
    scale: float

    @property
    def rank(self) -> int:
        """r."""
        return len(self.a)

    @property
    def alpha(self) -> float:
        """HF peft multiplies by alpha / r."""
        return self.scale * self.rank


@singledispatch
def form(layer: AdaptedLayer) -> LowRank:
    """What HF peft would store for an adapted layer; StudioError with the reason where it has nothing of the kind."""
    raise StudioError(f"HF peft has no form for a {type(layer).__name__}; export as merged, adapter, onnx or torch.")


@form.register
def _linear(layer: LoRALinear) -> LowRank:
    """q, k, v slices become blocks: each has rows of A and columns of B of its own, and the rest of B is zero."""
    return LowRank(layer.lora_A.detach(), layer.full_B().detach(), layer.scale)


@form.register
def _conv(layer: LoRAConv2d) -> LowRank:
    plain = layer.plain
    assert isinstance(plain, nn.Conv2d)
    odd = plain.groups > 1 or plain.padding_mode != "zeros" or max(plain.dilation) > 1
    if odd:
        raise StudioError(
            "HF peft cannot hold LoRA on a grouped, dilated or specially padded convolution; "
            "export as merged, adapter, onnx or torch."
        )
    return LowRank(layer.lora_A.detach(), layer.lora_B.detach(), layer.scale)


def combine(updates: list[LowRank]) -> LowRank:
    """Several updates of one weight as one: ranks add up, each scale goes into its B, that of the whole is 1."""
    if len(updates) == 1:
        return updates[0]
    b = torch.cat([u.b * u.scale for u in updates], dim=1)
    return LowRank(torch.cat([u.a for u in updates]), b, 1.0)


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
        """HF peft knows the LoRA family only."""
        return "" if method.name in TYPES else f"HF peft has no form for {method.label} on images"

    def write(self, subject: Subject, folder: Path) -> None:
        """Write the two files of HF peft, and ``backbone.json``, which says how timm makes the backbone."""
        updates = dict(low_rank_updates(subject.attached.module))
        if not updates:
            raise StudioError("HF peft has no form for a head trained alone; export as merged, adapter, onnx or torch.")
        save_file(_tensors(updates, subject.attached.module), folder / "adapter_model.safetensors", {"format": "pt"})
        write_json(folder / "adapter_config.json", _config(updates, head_paths(subject.attached.module)))
        write_json(folder / "backbone.json", describe_backbone(subject, list(updates)))

    def load(self, folder: Path) -> Callable[[Tensor], Tensor]:
        """The backbone with the updates added to its weights, without peft."""
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "adapter_model.safetensors")
        module = rebuild(json.loads((folder / "backbone.json").read_text(encoding="utf-8")))
        with torch.no_grad():
            for path in config["target_modules"]:
                _add(module.get_submodule(path), path, tensors, config)
            for path in config["modules_to_save"] or ():
                for name, parameter in module.get_submodule(path).named_parameters():
                    parameter.copy_(tensors[f"{PREFIX}{path}.{name}"])
        return module.eval()


def low_rank_updates(module: nn.Module) -> Iterator[tuple[str, LowRank]]:
    """Each adapted layer's path in the plain backbone with everything that is attached there, as one update."""
    for path, layer in module.named_modules():
        outermost = isinstance(layer, AdaptedLayer) and not _inside_adapted(module, path)
        if outermost:
            yield path, combine([form(one) for one in _chain(layer)])


def _chain(layer: nn.Module) -> Iterator[AdaptedLayer]:
    while isinstance(layer, AdaptedLayer):
        yield layer
        layer = layer.base


def _inside_adapted(module: nn.Module, path: str) -> bool:
    parent, _, name = path.rpartition(".")
    return name == "base" and isinstance(module.get_submodule(parent), AdaptedLayer)


def _tensors(updates: dict[str, LowRank], module: nn.Module) -> dict[str, Tensor]:
    named = {}
    for path, update in updates.items():
        named[f"{PREFIX}{path}.lora_A.weight"] = update.a
        named[f"{PREFIX}{path}.lora_B.weight"] = update.b
    for path in head_paths(module):
        for name, tensor in module.get_submodule(path).state_dict().items():
            named[f"{PREFIX}{path}.{name}"] = tensor
    return {name: tensor.cpu().contiguous().clone() for name, tensor in named.items()}


def _config(updates: dict[str, LowRank], heads: tuple[str, ...]) -> dict[str, Any]:
    first = next(iter(updates.values()))
    alphas = {path: _number(update.alpha) for path, update in updates.items()}
    return {
        "auto_mapping": None,
        "base_model_name_or_path": None,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": _number(first.alpha),
        "lora_dropout": 0.0,
        "modules_to_save": list(heads) or None,
        "peft_type": "LORA",
        "r": first.rank,
        "rank_pattern": {path: u.rank for path, u in updates.items() if u.rank != first.rank},
        "alpha_pattern": {path: alpha for path, alpha in alphas.items() if alpha != _number(first.alpha)},
        "revision": None,
        "target_modules": list(updates),
        "task_type": None,
        "use_rslora": False,
        "use_dora": False,
    }


def _number(value: float) -> int | float:
    """alpha as an integer where it is one, as older versions of peft expect."""
    return int(value) if float(value).is_integer() else value


def _add(layer: nn.Module, path: str, tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    a, b = (tensors[f"{PREFIX}{path}.lora_{half}.weight"] for half in "AB")
    rank = config["rank_pattern"].get(path, config["r"])
    scale = config["alpha_pattern"].get(path, config["lora_alpha"]) / rank
    weight = layer.weight
    assert isinstance(weight, nn.Parameter)
    weight += scale * (b.flatten(1) @ a.flatten(1)).view(weight.shape)
