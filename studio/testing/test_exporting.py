"""The contract of exporters: description, script, and a verified export."""

import ast
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from studio.backbones import layer_roles, loading
from studio.core.errors import StudioError
from studio.core.files import write_json
from studio.core.recipe import Attachment, Backbone, Recipe
from studio.core.run import Run
from studio.export import Exporter, ExportSource
from studio.export.contract import missing_packages
from studio.export.sidecar_files import write_sidecar_files
from studio.export.verify import verify_export
from studio.peft import METHODS, attach
from studio.peft.targets import default_attachment
from studio.testing import observing

_ARGUMENTS = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
_ARCHITECTURE = "vit_tiny_patch16_224"
_LABELS = ("a", "b")


def test_an_exporter_is_described(exporter: Exporter) -> None:
    assert exporter.name == exporter.name.lower()
    assert exporter.label
    assert observing.is_sentence(exporter.summary)
    assert exporter.marker_file
    assert "{folder}" in exporter.python_usage
    assert "model" in {name.id for name in ast.walk(ast.parse(exporter.python_usage)) if isinstance(name, ast.Name)}
    assert 0 < exporter.relative_tolerance <= exporter.float16_relative_tolerance < 1


def test_an_exporters_script_defines_logits(exporter: Exporter) -> None:
    tree = ast.parse(exporter.predict_script.read_text(encoding="utf-8"))
    assert "logits" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert ast.get_docstring(tree)


def test_an_exporter_explains_unsupported_methods(exporter: Exporter) -> None:
    reasons = [exporter.unsupported_reason(method) for method in METHODS]
    assert "" in reasons
    assert all(reason == "" or observing.is_sentence(reason) for reason in reasons)


@pytest.mark.slow
def test_an_export_is_verified_in_a_fresh_process(exporter: Exporter, tmp_path: Path) -> None:
    missing = missing_packages((*exporter.packages, *exporter.predict_packages))
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    folder = tmp_path / "export"
    folder.mkdir()
    source = _make_source(exporter, tmp_path)
    exporter.write(source, folder)
    write_sidecar_files(exporter, source, folder)
    verification = verify_export(exporter, source, folder)
    assert (folder / exporter.marker_file).is_file()
    assert verification.passed, verification
    assert verification.agreement == 1
    assert "fresh process" in verification.loaded_with
    images = torch.linspace(-1, 1, 2 * 3072).view(2, 3, 32, 32)
    with torch.inference_mode():
        live, loaded = source.model.module(images), exporter.load(folder)(images)
    assert float((live - loaded).abs().max()) <= exporter.tolerance(source, float(live.abs().max()))


def _make_source(exporter: Exporter, folder: Path) -> ExportSource:
    """Return a small transformer with a supported method and random tensors."""
    backbone = _make_backbone(folder / "backbone")
    module = loading.load_backbone(backbone, len(_LABELS))
    attachments = (_supported_attachment(exporter, backbone),)
    digest, preprocessing = loading.weights_digest(module), loading.resolve_preprocessing(module)
    model = attach(module, attachments)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    recipe = Recipe.from_mapping({"data": {"path": str(_make_images(folder / "images"))}})
    recipe = recipe.model_copy(update={"backbone": backbone, "attachments": attachments})
    run = Run.create(recipe, folder / "run")
    return ExportSource(run, recipe, model.eval(), _LABELS, preprocessing, digest)


def _make_backbone(folder: Path) -> Backbone:
    folder.mkdir()
    module = timm.create_model(_ARCHITECTURE, num_classes=len(_LABELS), **_ARGUMENTS)
    save_file(module.state_dict(), folder / "model.safetensors")
    config = module.pretrained_cfg | {"input_size": [3, 32, 32], "num_classes": len(_LABELS)}
    description = {"architecture": _ARCHITECTURE, "num_classes": len(_LABELS), "model_args": _ARGUMENTS}
    write_json(folder / "config.json", description | {"pretrained_cfg": config})
    return Backbone(name="small", source="local", weights=str(folder))


def _supported_attachment(exporter: Exporter, backbone: Backbone) -> Attachment:
    layers = layer_roles.describe_layers(loading.build_on_meta(backbone))
    for method in sorted(METHODS, key=lambda method: method.name != "lora"):
        if not exporter.unsupported_reason(method):
            try:
                return default_attachment(method, layers)
            except StudioError:
                continue
    raise AssertionError(f"{exporter.name} supports no method")


def _make_images(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    for label in _LABELS:
        (folder / label).mkdir(parents=True)
        for number in range(8):
            pixels = generator.integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder
