"""An adapter on disk: ``studio_adapter.json`` says what it is and ``studio_adapter.safetensors`` holds its tensors.

The names are our own, so that HF peft refuses the folder rather than loading half of it.
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
    """What ``studio_adapter.json`` says: enough to attach again.

    ``head`` says whether the classifier trained; its tensors are in the file either way. ``metadata`` is for whoever
    reads it; the engine does not.
    """

    format: Literal[1] = 1
    backbone_identity: str
    attachments: tuple[Attachment, ...]
    head: bool
    metadata: Mapping[str, Any] = {}


def save_adapter(
    attached: AdaptedModel,
    attachments: Sequence[Attachment],
    folder: Path,
    backbone_identity: str,
    metadata: Mapping[str, Any],
    to_stored: Callable[[Tensor], Tensor] = lambda tensor: tensor.detach().cpu().contiguous(),
) -> None:
    """Write the adapter to ``folder``.

    ``backbone_identity`` is :func:`studio.backbones.loading.weights_digest` of the bare backbone; ``stored`` makes of a
    tensor what goes into the file, in which it may be of a lower precision.
    """
    description = AdapterManifest(
        backbone_identity=backbone_identity,
        attachments=tuple(a for a in attachments if a.enabled),
        head=attached.has_head,
        metadata=metadata,
    )
    tensors = {name: to_stored(tensor) for name, tensor in _adapter_and_head_tensors(attached).items()}
    write_bytes(folder / TENSORS_NAME, save(tensors, metadata={"format": "pt"}))
    write_json(folder / MANIFEST_NAME, description.model_dump(mode="json"))


def adapter_file_size(attached: AdaptedModel) -> int:
    """Bytes of the file of tensors as :func:`save_adapter` would write it; on the meta device just the same."""
    tensors = _adapter_and_head_tensors(attached)
    return sum(t.numel() * t.element_size() for t in tensors.values()) + _safetensors_header_size(tensors)


def _safetensors_header_size(tensors: Mapping[str, Tensor]) -> int:
    """Bytes of what a safetensors file says of its tensors before they come: their length, then JSON, padded to 8."""
    told: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])):
        begin, end = end, end + tensor.numel() * tensor.element_size()
        kind = "F" if tensor.is_floating_point() else "I"
        kind = "BF" if tensor.dtype == torch.bfloat16 else kind
        dtype = f"{kind}{8 * tensor.element_size()}"
        told[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    words = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    return 8 + -(-len(words) // 8) * 8


def _adapter_and_head_tensors(attached: AdaptedModel) -> dict[str, Tensor]:
    """The adapter and the head, also where it did not train: no answer is right without it."""
    head = {
        f"{HEAD}/{inner}/{name}": parameter.detach().clone()  # an attachment to the head has the very tensor already
        for path in classifier_paths(attached.module)
        for inner, layer in attached.module.get_submodule(path).named_modules(prefix=path)
        for name, parameter in layer.named_parameters(recurse=False)
    }
    return head | attached.state_dict()


def read_manifest(folder: Path) -> AdapterManifest:
    """Read ``studio_adapter.json``; StudioError where it is missing or wrong."""
    path = folder / MANIFEST_NAME
    try:
        return AdapterManifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise StudioError(f"{folder} is not an adapter: {MANIFEST_NAME} cannot be read.") from error
    except ValidationError as error:
        raise bad_value(error, path) from error
    except (ValueError, RecursionError) as error:
        raise StudioError(f"{path} is damaged: {error}.") from error


def load_adapter(module: nn.Module, folder: Path) -> AdaptedModel:
    """Attach the adapter in ``folder`` to a bare backbone with a head of the right size, in evaluation mode.

    Raises StudioError, with the module as it was, where the backbone is another or the tensors do not fit.
    """
    description = read_manifest(folder)
    check_same_backbone(description, weights_digest(module), folder)
    return attach_adapter(module, folder, description)


def check_same_backbone(manifest: AdapterManifest, backbone_identity: str, folder: Path) -> None:
    """Raise StudioError where the adapter in ``folder`` belongs to another backbone than this."""
    if manifest.backbone_identity != backbone_identity:
        raise StudioError(f"The adapter in {folder} was made for another backbone: the weights differ.")


def attach_adapter(module: nn.Module, folder: Path, manifest: AdapterManifest) -> AdaptedModel:
    """:func:`load_adapter` for a folder that is described already, and known to belong to this backbone."""
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
