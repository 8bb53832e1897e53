"""From a folder of HF peft to attachments and their tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from studio.backbones.layer_roles import describe_layers
from studio.backbones.safetensors_io import load_tensors
from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.recipe import Attachment
from studio.peft.attach import AdaptedModel, attach
from studio.peft.contract import METHODS
from studio.peft.hf.config import PeftConfig, read_config
from studio.peft.hf.convert import ConvertedAdapter, convert_ia3, convert_lora
from studio.peft.hf.keys import KEY_PREFIX, SAFETENSORS_WEIGHTS_NAME, TIMM_WRAPPER_PREFIX
from studio.peft.methods.selective import BIAS_NAMES
from studio.peft.param_counts import HEAD
from studio.peft.targets import minimal_patterns, unique_name, unsupported_reason

_LAYER_TENSORS = (
    ".lora_A.weight",
    ".lora_B.weight",
    ".lora_magnitude_vector",
    ".lora_magnitude_vector.weight",
    ".ia3_l",
    ".ln_tuning_layers.weight",
    ".ln_tuning_layers.bias",
)


@dataclass(frozen=True, slots=True)
class ImportedAdapter:
    """What a folder of HF peft comes to on a backbone.

    ``tensors`` are under the names of :meth:`Attached.state_dict`; one that is not among them keeps the backbone's
    value. ``head`` says whether the folder brings a classifier.
    """

    attachments: tuple[Attachment, ...]
    tensors: dict[str, Tensor]
    head: bool


def load_peft(module: nn.Module, folder: Path) -> AdaptedModel:
    """Attach what is in a folder of HF peft to a bare backbone with a head of the right size, in evaluation mode.

    Raises StudioError, with the module as it was, where there is something that has no counterpart here.
    """
    imported = from_peft(folder, module)
    attached = attach(module, imported.attachments, head=imported.head)
    try:
        attached.load_state_dict(attached.state_dict() | imported.tensors)
    except BaseException:
        attached.detach()
        raise
    return attached.eval()


def from_peft(folder: Path, module: nn.Module) -> ImportedAdapter:
    """Read a folder of HF peft for the bare backbone ``module``, whose weights are looked at and not changed.

    Raises StudioError where the folder is damaged, for another backbone, or has something without a counterpart here.
    """
    config = read_config(folder)
    rows = {layer.path: layer for layer in describe_layers(module)}
    layers, others = _group_by_layer(load_tensors(folder / SAFETENSORS_WEIGHTS_NAME), rows)
    parts = _convert_layers(config, layers, rows, others, module)
    parts += _convert_trained(others, rows, module)
    heads = [part for part in parts if part.method == HEAD]
    return _gather([part for part in parts if part.method != HEAD], heads, rows)


TensorsByLayer = dict[str, dict[str, Tensor]]


def _group_by_layer(tensors: Mapping[str, Tensor], rows: Mapping[str, Layer]) -> tuple[TensorsByLayer, TensorsByLayer]:
    """By layer path: the tensors that HF peft added to a layer, and the layer's own that it trained."""
    layers: TensorsByLayer = {}
    others: TensorsByLayer = {}
    for name, tensor in tensors.items():
        inner = name.removeprefix(KEY_PREFIX).removeprefix(TIMM_WRAPPER_PREFIX)
        suffix = next((s for s in _LAYER_TENSORS if inner.endswith(s)), "")
        path, key = (inner.removesuffix(suffix), suffix) if suffix else _split_parameter_name(inner)
        if path not in rows or inner == name:
            raise StudioError(f"The folder has {name}, which belongs to no layer of this backbone.")
        (layers if suffix else others).setdefault(path, {})[key] = tensor
    return layers, others


def _split_parameter_name(name: str) -> tuple[str, str]:
    path, _, parameter = name.rpartition(".")
    return path.removesuffix(".base_layer").removesuffix(".ln_tuning_layers"), parameter


def _convert_layers(
    config: PeftConfig, layers: TensorsByLayer, rows: Mapping[str, Layer], others: TensorsByLayer, module: nn.Module
) -> list[ConvertedAdapter]:
    found = []
    for path, tensors in layers.items():
        if config.peft_type == "LORA":
            found += convert_lora(rows[path], tensors, config)
        elif config.peft_type == "IA3":
            found += convert_ia3(rows[path], tensors, config, module, others)
        else:
            own = {key.rpartition(".")[2]: tensor for key, tensor in tensors.items()}
            found.append(ConvertedAdapter(path, "norm_tuning", (), {}, own))
    return found


def _convert_trained(others: TensorsByLayer, rows: Mapping[str, Layer], module: nn.Module) -> list[ConvertedAdapter]:
    found = []
    for path, tensors in others.items():
        layer = module.get_submodule(path)
        trained = {name: t for name, t in tensors.items() if not _is_unchanged_buffer(layer, path, name, t)}
        if trained:
            found.append(ConvertedAdapter(path, _training_method(rows[path], trained), (), {}, trained))
    return found


def _is_unchanged_buffer(layer: nn.Module, path: str, name: str, tensor: Tensor) -> bool:
    """Whether ``name`` is no parameter; StudioError where it then has another value than the backbone's."""
    if name in layer._parameters:
        return False
    own = layer._buffers.get(name)
    if own is not None and not own.is_floating_point():
        return True  # a count of batches, which only training looks at
    if own is None or own.shape != tensor.shape or not torch.equal(own.cpu(), tensor):
        raise StudioError(f"The folder changes {path}.{name}, which is a statistic and no weight; it cannot be kept.")
    return True


def _training_method(layer: Layer, trained: Mapping[str, Tensor]) -> str:
    """Our method for parameters of the backbone that trained."""
    if layer.role is Role.HEAD:
        return HEAD
    if layer.kind == "norm":
        return "norm_tuning"
    return "bitfit" if trained.keys() <= BIAS_NAMES else "full"


def _gather(parts: list[ConvertedAdapter], heads: list[ConvertedAdapter], rows: Mapping[str, Layer]) -> ImportedAdapter:
    """One attachment for all parts with the same method, slices and fields."""
    groups: dict[str, list[ConvertedAdapter]] = {}
    for part in parts:
        _check_supported(part, rows[part.path])
        groups.setdefault(repr((part.method, part.slices, part.config)), []).append(part)
    attachments: list[Attachment] = []
    tensors = {f"{HEAD}/{part.path}/{name}": t for part in heads for name, t in part.tensors.items()}
    for group in groups.values():
        attachments.append(_attachment(group, rows, [a.name for a in attachments]))
        name = attachments[-1].name
        tensors |= {f"{name}/{part.path}/{key}": t for part in group for key, t in part.tensors.items()}
    return ImportedAdapter(tuple(attachments), tensors, bool(heads))


def _attachment(group: list[ConvertedAdapter], rows: Mapping[str, Layer], taken: list[str]) -> Attachment:
    first = group[0]
    return Attachment(
        name=unique_name(first.method, [*taken, HEAD]),
        method=first.method,
        at=minimal_patterns([part.path for part in group], list(rows.values())),
        slices=first.slices,
        config=METHODS.get(first.method).configure(first.config).model_dump(),
    )


def _check_supported(part: ConvertedAdapter, layer: Layer) -> None:
    method = METHODS.get(part.method)
    reason = unsupported_reason(method, layer, method.configure(part.config), part.slices)
    if reason:
        raise StudioError(f"The folder has {method.label} at {part.path}, which cannot be attached here: {reason}")
