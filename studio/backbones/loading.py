"""From a recipe's backbone to a network: its shape alone on the meta device, or with its weights."""

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
from studio.core.paths import resolve_path, resource
from studio.core.recipe import Backbone
from studio.data.transforms.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """How timm builds the network: its entry point's name and arguments, its configuration, and where the weights are.

    ``weights`` is a safetensors file, or None where timm fetches them (or where there are none).
    """

    name: str
    model_args: dict[str, Any] = field(default_factory=dict)
    pretrained_cfg: dict[str, Any] = field(default_factory=dict)
    weights: Path | None = None

    @property
    def license(self) -> str:
        """The licence of the weights as their makers state it; "not stated" is an answer too."""
        return license_name(self.pretrained_cfg.get("license"))


def resolve_backbone(backbone: Backbone) -> ModelSpec:
    """Look a backbone up; StudioError where there is no such name, folder or file. Reads no weights."""
    if backbone.source == "bundled":
        return _spec_from_folder(resource(backbone.name), f"There is no bundled backbone called {backbone.name!r}.")
    if backbone.source == "timm":
        return _spec_from_timm(backbone.name)
    weights = resolve_path(backbone.weights)
    if not backbone.weights or not weights.exists():
        raise StudioError(f"There is no file or folder {backbone.weights!r} to load the local backbone from.")
    if weights.is_dir():
        return _spec_from_folder(weights, f"{weights} is not a timm model folder: it has no config.json.")
    known = _spec_from_timm(backbone.name)
    return ModelSpec(known.name, {}, known.pretrained_cfg, weights)


def _spec_from_folder(folder: Path, missing: str) -> ModelSpec:
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        name, args, cfg = raw["architecture"], raw.get("model_args", {}), raw.get("pretrained_cfg", {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudioError(missing) from error
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
        hint = f"; did you mean {' or '.join(close)}?" if close else "; see `peft-studio backbones` for the names."
        raise StudioError(f"There is no backbone called {name!r}{hint}")


def build_on_meta(backbone: Backbone, num_classes: int | None = None) -> nn.Module:
    """The network on the meta device: every shape, no values, no weights read.

    ``num_classes`` outputs, or those it came with.
    """
    found = resolve_backbone(backbone)
    return _create_model(found, _pretrained_num_classes(found) if num_classes is None else num_classes, "meta")


def load_backbone(backbone: Backbone, num_classes: int | None = None) -> nn.Module:
    """The network with its weights, in evaluation mode, on the CPU in float32.

    With ``num_classes`` the classifier is a new one of that many outputs, made with torch's global random numbers. Raises
    StudioError where the weights are missing, unreadable, a pickle, or of another shape.
    """
    found = resolve_backbone(backbone)
    if not backbone.pretrained:
        module = _create_model(found, _pretrained_num_classes(found), "cpu")
    elif found.weights is None:
        module = _load_from_hub(found)
    else:
        module = _load_from_file(found)
    if num_classes is not None:
        module.reset_classifier(num_classes)  # type: ignore[operator]
    return module.float().eval()


def resolve_preprocessing(module: nn.Module) -> Preprocessing:
    """What the network expects of an image, from timm's configuration of it."""
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
    """SHA-256 over names, shapes and values of every tensor but the classifier's.

    Which backbone an adapter belongs to.
    """
    return tensors_digest(module.state_dict(), classifier_paths(module))


def tensors_digest(tensors: Mapping[str, Tensor], heads: Sequence[str]) -> str:
    """:func:`weights_digest` from the tensors of a network and the paths of its classifier's layers."""
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
    """Take the weights from the hub's cache on this machine, or fetch them into it."""
    repository = spec.pretrained_cfg.get("hf_hub_id")
    if not repository:
        raise StudioError(
            f"The weights of {spec.name} are published only in a form that can run code when it is opened; choose "
            "another backbone, a local checkpoint, or switch pretrained off to start from random weights."
        )
    overlay = {"file": str(weights.download(repository)), "custom_load": False}
    try:
        return timm.create_model(spec.name, pretrained=True, pretrained_cfg_overlay=overlay, **spec.model_args)
    except Exception as error:
        raise StudioError(
            f"The weights of {spec.name} on this machine cannot be loaded ({type(error).__name__}: {error}); choose "
            "another backbone, or switch pretrained off to start from random weights."
        ) from error


def _load_from_file(spec: ModelSpec) -> nn.Module:
    assert spec.weights is not None
    tensors = load_tensors(spec.weights)
    module = _create_model(spec, _checkpoint_num_classes(tensors, spec), "cpu")
    own = module.state_dict()
    problem = _state_dict_mismatch(own, tensors)
    if problem:
        raise StudioError(f"{spec.weights} does not fit {spec.name}: {problem}.")
    module.load_state_dict(tensors)
    return module


def _checkpoint_num_classes(tensors: dict[str, Tensor], spec: ModelSpec) -> int:
    """How many classes the classifier in a checkpoint has; 0 where it has none."""
    named = spec.pretrained_cfg.get("classifier") or ""
    weight = tensors.get(f"{named if isinstance(named, str) else named[0]}.weight")
    return 0 if weight is None else len(weight)


def _state_dict_mismatch(own: dict[str, Tensor], given: dict[str, Tensor]) -> str:
    for name in own:
        if name not in given:
            return f"it has no {name}"
        if given[name].shape != own[name].shape:
            return f"its {name} is {tuple(given[name].shape)} where {tuple(own[name].shape)} is needed"
    extra = next((name for name in given if name not in own), "")
    return f"it has {extra}, which the network does not" if extra else ""
