"""The adapter on disk: ``studio_adapter.json`` describes it, ``studio_adapter.safetensors`` has its tensors.

The file names are our own, so that HF peft rejects the folder instead of loading half of it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from safetensors.torch import save
from torch import Tensor, nn

from studio.backbones.layer_roles import classifier_paths
from studio.backbones.loading import weights_digest
from studio.backbones.safetensors_io import load_tensors
from studio.core.errors import StudioError
from studio.core.files import write_bytes, write_json
from studio.core.recipe import Attachment
from studio.core.recipe_base import RecipeModel
from studio.core.validation import bad_value
from studio.peft.attach import AdaptedModel, attach
from studio.peft.param_counts import HEAD

MANIFEST_NAME = "studio_adapter.json"
TENSORS_NAME = "studio_adapter.safetensors"


class AdapterManifest(RecipeModel):
    """The content of ``studio_adapter.json``, which suffices to attach the adapter again.

    ``head`` tells whether the classifier trained; its tensors are in the file in any case. The engine does not read
    ``metadata``.
    """

    format: Literal[1] = 1
    backbone_identity: str
    attachments: tuple[Attachment, ...]
    head: bool
    metadata: Mapping[str, Any] = {}


def save_adapter(
    model: AdaptedModel,
    attachments: Sequence[Attachment],
    folder: Path,
    backbone_identity: str,
    metadata: Mapping[str, Any],
    to_stored: Callable[[Tensor], Tensor] = lambda tensor: tensor.detach().cpu().contiguous(),
) -> None:
    """Write the adapter to ``folder``.

    ``backbone_identity`` is :func:`studio.backbones.loading.weights_digest` of the bare backbone; ``to_stored``
    converts each tensor for the file, for example to a lower precision.
    """
    manifest = AdapterManifest(
        backbone_identity=backbone_identity,
        attachments=tuple(a for a in attachments if a.enabled),
        head=model.has_head,
        metadata=metadata,
    )
    tensors = {name: to_stored(tensor) for name, tensor in _adapter_and_head_tensors(model).items()}
    write_bytes(folder / TENSORS_NAME, save(tensors, metadata={"format": "pt"}))
    write_json(folder / MANIFEST_NAME, manifest.model_dump(mode="json"))


def adapter_file_size(model: AdaptedModel) -> int:
    """Return the size in bytes of the tensor file of :func:`save_adapter`; works on the meta device too."""
    tensors = _adapter_and_head_tensors(model)
    return sum(t.numel() * t.element_size() for t in tensors.values()) + _safetensors_header_size(tensors)


def _safetensors_header_size(tensors: Mapping[str, Tensor]) -> int:
    """Return the bytes before the tensors of a safetensors file: a length, then JSON padded to a multiple of 8."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])):
        begin, end = end, end + tensor.numel() * tensor.element_size()
        kind = "F" if tensor.is_floating_point() else "I"
        kind = "BF" if tensor.dtype == torch.bfloat16 else kind
        dtype = f"{kind}{8 * tensor.element_size()}"
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return 8 + -(-len(text) // 8) * 8


def _adapter_and_head_tensors(model: AdaptedModel) -> dict[str, Tensor]:
    """Return the adapter and the head, even a frozen one: without it there is no correct output."""
    head = {
        f"{HEAD}/{inner}/{name}": parameter.detach().clone()  # cloned: an attachment to the head has the same tensor
        for path in classifier_paths(model.module)
        for inner, layer in model.module.get_submodule(path).named_modules(prefix=path)
        for name, parameter in layer.named_parameters(recurse=False)
    }
    return head | model.state_dict()


def read_manifest(folder: Path) -> AdapterManifest:
    """Read ``studio_adapter.json``; StudioError if it is missing or wrong."""
    path = folder / MANIFEST_NAME
    try:
        return AdapterManifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise StudioError(
            "unreadable-file",
            "{folder} is not an adapter: {file} cannot be read. Choose the folder of an exported adapter.",
            folder=folder,
            file=MANIFEST_NAME,
        ) from error
    except ValidationError as error:
        raise bad_value(error, path) from error
    except (ValueError, RecursionError) as error:
        raise StudioError("damaged-file", "{file} is damaged: {reason}.", file=path, reason=error) from error


def load_adapter(module: nn.Module, folder: Path) -> AdaptedModel:
    """Attach the adapter in ``folder`` to a bare backbone, in evaluation mode; the head must have the right size.

    Raises StudioError, with the module as it was, if the backbone is another one or the tensors do not fit.
    """
    manifest = read_manifest(folder)
    check_same_backbone(manifest, weights_digest(module), folder)
    return attach_adapter(module, folder, manifest)


def check_same_backbone(manifest: AdapterManifest, backbone_identity: str, folder: Path) -> None:
    """Raise StudioError if the adapter in ``folder`` belongs to another backbone."""
    if manifest.backbone_identity != backbone_identity:
        raise StudioError(
            "other-backbone",
            "The adapter in {folder} belongs to another backbone: the weights differ. Load it with its own backbone.",
            folder=folder,
        )


def attach_adapter(module: nn.Module, folder: Path, manifest: AdapterManifest) -> AdaptedModel:
    """Attach as :func:`load_adapter` does, for a manifest that was read and checked already."""
    tensors = load_tensors(folder / TENSORS_NAME)
    attached = attach(module, manifest.attachments)
    try:
        attached.load_state_dict(tensors)
        for name, parameter in attached.named_parameters():
            parameter.requires_grad_(manifest.head or not name.startswith(f"{HEAD}/"))
    except BaseException:
        attached.detach()
        raise
    return attached.eval()
