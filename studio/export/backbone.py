"""How timm makes a run's backbone again: what an adapter export says about the network that it goes onto."""

from typing import Any

from torch import nn

from studio.core import paths
from studio.core.errors import StudioError
from studio.core.recipe import Backbone
from studio.export.contract import Subject

_SEPARATE_BIAS = "qkv_bias_separate"


def describe(subject: Subject, adapted: list[str]) -> dict[str, Any]:
    """``create_model``: arguments of ``timm.create_model``. ``attributes``: what must be set on which layer afterwards.

    timm's BEiT, EVA and Swin V2 read the weight of qkv past an adapter unless ``qkv_bias_separate`` is set.
    """
    return {
        "create_model": _arguments(subject.recipe.backbone, len(subject.labels)),
        "attributes": dict(_attributes(subject.attached.module, adapted)),
    }


def _arguments(backbone: Backbone, classes: int) -> dict[str, Any]:
    if not backbone.pretrained:
        raise StudioError(
            "This backbone began with random weights, which nobody else has; export as merged, onnx or torch."
        )
    common = {"pretrained": True, "num_classes": classes}
    if backbone.source == "timm":
        return {"model_name": backbone.name, **common}
    place = paths.resource(backbone.name) if backbone.source == "bundled" else paths.locate(backbone.weights)
    if place.is_dir():
        return {"model_name": f"local-dir:{place}", **common}
    return {"model_name": backbone.name, **common, "pretrained_cfg_overlay": {"file": str(place)}}


def _attributes(module: nn.Module, adapted: list[str]) -> list[tuple[str, dict[str, bool]]]:
    parents = {path.rpartition(".")[0] for path in adapted if path.rpartition(".")[2] == "qkv"}
    flagged = sorted(p for p in parents if getattr(module.get_submodule(p), _SEPARATE_BIAS, None) is True)
    return [(path, {_SEPARATE_BIAS: True}) for path in flagged]


def rebuild(description: dict[str, Any]) -> nn.Module:
    """Make the backbone that :func:`describe` described."""
    import timm

    module: nn.Module = timm.create_model(**description["create_model"])
    for path, values in description["attributes"].items():
        vars(module.get_submodule(path)).update(values)
    return module
