"""Build the network of a recipe's backbone, on the meta device or with its weights."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from timm.models import get_pretrained_cfg, is_model, split_model_name_tag
from torch import Tensor, nn

from studio.backbones import weights
from studio.backbones.layer_roles import classifier_paths
from studio.backbones.licenses import license_name
from studio.backbones.safetensors_io import load_tensors
from studio.core.errors import StudioError
from studio.core.messages import N_, Message
from studio.core.paths import resolve_path, resource
from studio.core.recipe import Backbone
from studio.data.transforms.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """How timm builds the network: entry point, arguments, configuration, and weights.

    ``weights`` is a safetensors file, or None if they come from the hub or there are none.
    """

    name: str
    model_args: dict[str, Any] = field(default_factory=dict)
    pretrained_cfg: dict[str, Any] = field(default_factory=dict)
    weights: Path | None = None

    @property
    def license(self) -> str:
        """The license of the weights; "not stated" if there is none."""
        return license_name(self.pretrained_cfg.get("license"))


def resolve_backbone(backbone: Backbone) -> ModelSpec:
    """Look a backbone up without reading weights; StudioError if there is no such name, folder or file."""
    if backbone.source == "bundled":
        missing = N_("There is no bundled backbone {name!r}. Choose another backbone.", name=backbone.name)
        return _spec_from_folder(resource(backbone.name), missing)
    if backbone.source == "timm":
        return _spec_from_timm(backbone.name)
    weights = resolve_path(backbone.weights)
    if not backbone.weights or not weights.exists():
        raise StudioError(
            "missing-file",
            "Cannot load the local backbone: there is no file or folder {path!r}. Choose another local checkpoint.",
            path=backbone.weights,
        )
    if weights.is_dir():
        missing = N_(
            "{folder} is not a timm model folder: it has no config.json. Choose another folder.", folder=weights
        )
        return _spec_from_folder(weights, missing)
    known = _spec_from_timm(backbone.name)
    return ModelSpec(known.name, {}, known.pretrained_cfg, weights)


def _spec_from_folder(folder: Path, missing: Message) -> ModelSpec:
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        name, args, cfg = raw["architecture"], raw.get("model_args", {}), raw.get("pretrained_cfg", {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudioError("unreadable-file", missing) from error
    _check_name(name)
    return ModelSpec(
        name,
        dict(args),
        {**cfg, "num_classes": raw.get("num_classes", cfg.get("num_classes", 0))},
        folder / "model.safetensors",
    )


def _spec_from_timm(name: str) -> ModelSpec:
    _check_name(name)
    config = get_pretrained_cfg(name)
    return ModelSpec(name, {}, config.to_dict() if config else {})


def _check_name(name: str) -> None:
    stem = split_model_name_tag(name)[0] if not set(name) & set("/\\:") else name
    if not is_model(stem):
        close = difflib.get_close_matches(stem, timm.list_models(), n=3, cutoff=0.5)
        if close:
            raise StudioError(
                "unknown-name",
                "There is no backbone {name!r}. Similar names: {known}.",
                name=name,
                known=", ".join(close),
            )
        raise StudioError(
            "unknown-name", "There is no backbone {name!r}. See `peft-studio backbones` for the names.", name=name
        )


def build_on_meta(backbone: Backbone, num_classes: int | None = None) -> nn.Module:
    """Return the network on the meta device, with shapes but no values; reads no weights.

    It has ``num_classes`` outputs, or those of the pretrained network.
    """
    spec = resolve_backbone(backbone)
    return _create_model(spec, _pretrained_num_classes(spec) if num_classes is None else num_classes, "meta")


def load_backbone(backbone: Backbone, num_classes: int | None = None) -> nn.Module:
    """Return the network with its weights, in evaluation mode, on the CPU in float32.

    With ``num_classes`` it gets a new classifier with so many outputs, initialized with torch's global random numbers.
    Raises StudioError if the weights are missing, unreadable, a pickle, or of another shape.
    """
    spec = resolve_backbone(backbone)
    if not backbone.pretrained:
        module = _create_model(spec, _pretrained_num_classes(spec), "cpu")
    elif spec.weights is None:
        module = _load_from_hub(spec)
    else:
        module = _load_from_file(spec)
    if num_classes is not None:
        module.reset_classifier(num_classes)  # type: ignore[operator]
    return module.float().eval()


def resolve_preprocessing(module: nn.Module) -> Preprocessing:
    """Return the preprocessing of the network's images, from timm's configuration."""
    config = resolve_model_data_config(module)
    return Preprocessing(
        size=tuple(config["input_size"][-2:]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
        crop_pct=config["crop_pct"],
        crop_mode=config.get("crop_mode") or "center",
    )


def weights_digest(module: nn.Module) -> str:
    """Return the SHA-256 of names, shapes and values of all tensors except the classifier's.

    It identifies the backbone that an adapter belongs to.
    """
    return tensors_digest(module.state_dict(), classifier_paths(module))


def tensors_digest(tensors: Mapping[str, Tensor], heads: Sequence[str]) -> str:
    """Return :func:`weights_digest` for the tensors of a network and the paths of its classifier's layers."""
    prefixes = tuple(f"{path}." for path in heads)
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        if not name.startswith(prefixes):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _pretrained_num_classes(spec: ModelSpec) -> int:
    return int(spec.pretrained_cfg.get("num_classes") or 0)


def _create_model(spec: ModelSpec, num_classes: int, device: str) -> nn.Module:
    overlay = {k: v for k, v in spec.pretrained_cfg.items() if k not in ("num_classes", "architecture")}
    with torch.device(device):
        return timm.create_model(spec.name, num_classes=num_classes, pretrained_cfg_overlay=overlay, **spec.model_args)


def _load_from_hub(spec: ModelSpec) -> nn.Module:
    """Load the weights from the hub's cache on this machine; download them if they are missing."""
    repository = spec.pretrained_cfg.get("hf_hub_id")
    if not repository:
        raise StudioError(
            "unavailable-weights",
            "Cannot load the weights of {name}: they are published only as a file that can run code when opened. "
            "Choose another backbone, a local checkpoint, or random weights (pretrained = false).",
            name=spec.name,
        )
    overlay = {"file": str(weights.download(repository)), "custom_load": False}
    try:
        return timm.create_model(spec.name, pretrained=True, pretrained_cfg_overlay=overlay, **spec.model_args)
    except Exception as error:
        raise StudioError(
            "unreadable-file",
            "Cannot load the weights of {name} on this machine: {reason}. "
            "Choose another backbone, or random weights (pretrained = false).",
            name=spec.name,
            reason=f"{type(error).__name__}: {error}",
        ) from error


def _load_from_file(spec: ModelSpec) -> nn.Module:
    assert spec.weights is not None
    tensors = load_tensors(spec.weights)
    module = _create_model(spec, _checkpoint_num_classes(tensors, spec), "cpu")
    own = module.state_dict()
    problem = _state_dict_mismatch(own, tensors)
    if problem:
        raise StudioError(
            "checkpoint-mismatch",
            "{file} does not fit {name}: {problem}. Choose another local checkpoint.",
            file=spec.weights,
            name=spec.name,
            problem=problem,
        )
    module.load_state_dict(tensors)
    return module


def _checkpoint_num_classes(tensors: dict[str, Tensor], spec: ModelSpec) -> int:
    """Return the number of classes of a checkpoint's classifier; 0 if it has none."""
    named = spec.pretrained_cfg.get("classifier") or ""
    weight = tensors.get(f"{named if isinstance(named, str) else named[0]}.weight")
    return 0 if weight is None else len(weight)


def _state_dict_mismatch(own: dict[str, Tensor], loaded: dict[str, Tensor]) -> str:
    for name in own:
        if name not in loaded:
            return N_("it has no {tensor}", tensor=name)
        if loaded[name].shape != own[name].shape:
            return N_(
                "its {tensor} has the shape {shape} instead of {expected}",
                tensor=name,
                shape=tuple(loaded[name].shape),
                expected=tuple(own[name].shape),
            )
    extra = next((name for name in loaded if name not in own), "")
    return N_("it has an unexpected {tensor}", tensor=extra) if extra else ""
