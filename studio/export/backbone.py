"""Description of the backbone in a peft export, from which timm creates it."""

import json
import shutil
from pathlib import Path
from typing import Any

from torch import nn

from studio.backbones.loading import resolve_backbone
from studio.core.errors import StudioError
from studio.core.files import write_json
from studio.core.recipe import Backbone
from studio.export.contract import ExportSource

BACKBONE_FILE = "backbone.json"
BACKBONE_FOLDER = "backbone"
"""The folder in an export with a backbone that timm cannot download."""
_SEPARATE_BIAS = "qkv_bias_separate"


def write_backbone(source: ExportSource, adapted: list[str], folder: Path) -> None:
    """Write :data:`BACKBONE_FILE`, and the backbone itself if it is not one of timm's.

    ``model_name`` and ``arguments`` are for ``timm.create_model``, with "{here}" for the export's own folder, so that
    the export can be moved. ``attributes`` are the attributes to set on each layer afterwards: timm's BEiT, EVA and
    Swin V2 read the weight of qkv directly, which bypasses an adapter, unless ``qkv_bias_separate`` is set.
    """
    backbone = source.recipe.backbone
    if not backbone.pretrained:
        raise StudioError(
            "unsupported-format",
            "The backbone started from random weights, which this format does not contain. Choose another format.",
        )
    if backbone.source != "timm":
        _copy_backbone(backbone, folder / BACKBONE_FOLDER)
    description = {
        "model_name": backbone.name if backbone.source == "timm" else f"local-dir:{{here}}/{BACKBONE_FOLDER}",
        "arguments": {"pretrained": True, "num_classes": len(source.labels)},
        "attributes": dict(_layer_attributes(source.model.module, adapted)),
    }
    write_json(folder / BACKBONE_FILE, description)


def _copy_backbone(backbone: Backbone, folder: Path) -> None:
    """Copy the backbone to a folder that timm loads."""
    resolved = resolve_backbone(backbone)
    assert resolved.weights is not None
    folder.mkdir()
    shutil.copyfile(resolved.weights, folder / "model.safetensors")
    config = {
        "architecture": resolved.name,
        "num_classes": resolved.pretrained_cfg.get("num_classes", 0),
        "model_args": resolved.model_args,
        "pretrained_cfg": resolved.pretrained_cfg,
    }
    write_json(folder / "config.json", config)


def _layer_attributes(module: nn.Module, adapted: list[str]) -> list[tuple[str, dict[str, bool]]]:
    parents = {path.rpartition(".")[0] for path in adapted if path.rpartition(".")[2] == "qkv"}
    flagged = sorted(p for p in parents if getattr(module.get_submodule(p), _SEPARATE_BIAS, None) is True)
    return [(path, {_SEPARATE_BIAS: True}) for path in flagged]


def rebuild_backbone(folder: Path) -> nn.Module:
    """Create the backbone described in ``folder``; StudioError if that fails."""
    import timm

    try:
        info: dict[str, Any] = json.loads((folder / BACKBONE_FILE).read_text(encoding="utf-8"))
        name = str(info["model_name"]).format(here=folder.absolute())
        module: nn.Module = timm.create_model(name, **info["arguments"])
        for path, values in info["attributes"].items():
            vars(module.get_submodule(path)).update(values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise StudioError(
            "damaged-file",
            "Cannot create the backbone described in {file}: {reason}. Export the run again.",
            file=folder / BACKBONE_FILE,
            reason=error,
        ) from error
    return module
