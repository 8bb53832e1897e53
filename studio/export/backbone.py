"""How timm makes a run's backbone again: what an adapter export says about the network that it goes onto."""

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
"""The folder inside the export with a backbone that timm cannot fetch."""
_SEPARATE_BIAS = "qkv_bias_separate"


def write_backbone(source: ExportSource, adapted: list[str], folder: Path) -> None:
    """Write :data:`BACKBONE_FILE`, and the backbone itself where it is one of the user's own or of this program.

    ``model_name`` and ``arguments`` are for ``timm.create_model``, with "{here}" for the export's own folder, so that
    the export can be taken elsewhere. ``attributes`` is what must be set on which layer afterwards: timm's BEiT, EVA
    and Swin V2 read the weight of qkv past an adapter unless ``qkv_bias_separate`` is set.
    """
    backbone = source.recipe.backbone
    if not backbone.pretrained:
        raise StudioError(
            "This backbone began with random weights, which nobody else has; export as merged, onnx or torch."
        )
    if backbone.source != "timm":
        _copy_backbone(backbone, folder / BACKBONE_FOLDER)
    described = {
        "model_name": backbone.name if backbone.source == "timm" else f"local-dir:{{here}}/{BACKBONE_FOLDER}",
        "arguments": {"pretrained": True, "num_classes": len(source.labels)},
        "attributes": dict(_layer_attributes(source.model.module, adapted)),
    }
    write_json(folder / BACKBONE_FILE, described)


def _copy_backbone(backbone: Backbone, folder: Path) -> None:
    """The backbone as a folder of its own that timm loads."""
    found = resolve_backbone(backbone)
    assert found.weights is not None
    folder.mkdir()
    shutil.copyfile(found.weights, folder / "model.safetensors")
    config = {
        "architecture": found.name,
        "num_classes": found.pretrained_cfg.get("num_classes", 0),
        "model_args": found.model_args,
        "pretrained_cfg": found.pretrained_cfg,
    }
    write_json(folder / "config.json", config)


def _layer_attributes(module: nn.Module, adapted: list[str]) -> list[tuple[str, dict[str, bool]]]:
    parents = {path.rpartition(".")[0] for path in adapted if path.rpartition(".")[2] == "qkv"}
    flagged = sorted(p for p in parents if getattr(module.get_submodule(p), _SEPARATE_BIAS, None) is True)
    return [(path, {_SEPARATE_BIAS: True}) for path in flagged]


def rebuild_backbone(folder: Path) -> nn.Module:
    """Make the backbone that :func:`write_backbone` described in ``folder``; StudioError where that cannot be read."""
    import timm

    try:
        said: dict[str, Any] = json.loads((folder / BACKBONE_FILE).read_text(encoding="utf-8"))
        name = str(said["model_name"]).format(here=folder.absolute())
        module: nn.Module = timm.create_model(name, **said["arguments"])
        for path, values in said["attributes"].items():
            vars(module.get_submodule(path)).update(values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise StudioError(f"The backbone that {folder / BACKBONE_FILE} describes cannot be made: {error}.") from error
    return module
