"""Convert a folder of HF peft to attachments and their tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from studio.backbones.layer_roles import BIAS_NAMES, describe_layers
from studio.backbones.safetensors_io import load_tensors
from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.recipe import Attachment
from studio.peft.attach import AdaptedModel, attach
from studio.peft.contract import METHODS
from studio.peft.hf.config import read_config
from studio.peft.hf.form import ConvertedAdapter, PeftForm, PeftLayer, TensorsByLayer, peft_forms
from studio.peft.hf.keys import KEY_PREFIX, SAFETENSORS_WEIGHTS_NAME, TIMM_WRAPPER_PREFIX
from studio.peft.param_counts import HEAD
from studio.peft.targets import minimal_patterns, unique_name, unsupported_reason


@dataclass(frozen=True, slots=True)
class ImportedAdapter:
    """A folder of HF peft converted for a backbone.

    ``tensors`` have the names of :meth:`AdaptedModel.state_dict`; a tensor that is missing keeps the backbone's value.
    ``head`` tells whether the folder has a classifier.
    """

    attachments: tuple[Attachment, ...]
    tensors: dict[str, Tensor]
    head: bool


def load_peft(module: nn.Module, folder: Path) -> AdaptedModel:
    """Attach a folder of HF peft to a bare backbone, in evaluation mode; the head must have the right size.

    Raises StudioError, with the module as it was, if something in the folder has no counterpart here.
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
    """Convert a folder of HF peft for the bare backbone ``module``, whose weights are read but not changed.

    Raises StudioError if the folder is damaged, for another backbone, or has something without a counterpart here.
    """
    forms = peft_forms()
    config = read_config(folder, forms)
    form = forms[config.peft_type]
    rows = {layer.path: layer for layer in describe_layers(module)}
    layers, trained = _group_by_layer(load_tensors(folder / SAFETENSORS_WEIGHTS_NAME), rows, form)
    parts = [
        part
        for path, tensors in layers.items()
        for part in form.from_layer(PeftLayer(rows[path], tensors, config, module, trained))
    ]
    parts += _convert_trained(trained, rows, module)
    heads = [part for part in parts if part.method == HEAD]
    return _gather([part for part in parts if part.method != HEAD], heads, rows)


def _group_by_layer(
    tensors: Mapping[str, Tensor], rows: Mapping[str, Layer], form: PeftForm
) -> tuple[TensorsByLayer, TensorsByLayer]:
    """Group tensors by layer path: those that HF peft adds to a layer, and the layer's own that it trained."""
    layers: TensorsByLayer = {}
    trained: TensorsByLayer = {}
    for name, tensor in tensors.items():
        inner = name.removeprefix(KEY_PREFIX).removeprefix(TIMM_WRAPPER_PREFIX)
        added = next((n for n in form.tensor_names if inner.endswith(f".{n}")), "")
        path, key = (inner.removesuffix(f".{added}"), added) if added else _split_parameter_name(inner)
        if path not in rows or inner == name:
            raise StudioError(
                "adapter-mismatch",
                "The folder has {tensor}, but this backbone has no such layer. Choose the backbone of the adapter.",
                tensor=name,
            )
        (layers if added else trained).setdefault(path, {})[key] = tensor
    return layers, trained


def _split_parameter_name(name: str) -> tuple[str, str]:
    path, _, parameter = name.rpartition(".")
    return path.removesuffix(".base_layer").removesuffix(".ln_tuning_layers"), parameter


def _convert_trained(changed: TensorsByLayer, rows: Mapping[str, Layer], module: nn.Module) -> list[ConvertedAdapter]:
    found = []
    for path, tensors in changed.items():
        layer = module.get_submodule(path)
        trained = {name: t for name, t in tensors.items() if not _is_unchanged_buffer(layer, path, name, t)}
        if trained:
            found.append(ConvertedAdapter(path, _training_method(rows[path], trained), (), {}, trained))
    return found


def _is_unchanged_buffer(layer: nn.Module, path: str, name: str, tensor: Tensor) -> bool:
    """Return whether ``name`` is a buffer with the backbone's value; StudioError if its value differs."""
    if name in layer._parameters:
        return False
    own = layer._buffers.get(name)
    if own is not None and not own.is_floating_point():
        return True  # a count of batches, which only training uses
    if own is None or own.shape != tensor.shape or not torch.equal(own.cpu(), tensor):
        raise StudioError(
            "unsupported-format",
            "Cannot read the folder: it changes {tensor}, which is a statistic and not a weight.",
            tensor=f"{path}.{name}",
        )
    return True


def _training_method(layer: Layer, trained: Mapping[str, Tensor]) -> str:
    """Return our method that trains these parameters of the backbone."""
    if layer.role is Role.HEAD:
        return HEAD
    if layer.kind == "norm":
        return "norm_tuning"
    return "bitfit" if trained.keys() <= BIAS_NAMES else "full"


def _gather(parts: list[ConvertedAdapter], heads: list[ConvertedAdapter], rows: Mapping[str, Layer]) -> ImportedAdapter:
    """Make one attachment of all adapters with the same method, slices and fields."""
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
        raise StudioError(
            "unsupported-layer",
            "The folder has {method} in {layer}, which cannot be attached here: {reason}",
            method=method.label,
            layer=part.path,
            reason=reason,
        )
