"""Every method in every format on one family of backbones, all predicted in one fresh process.

Slow formats take a second or two to trace, so that each such export holds several methods. MobileNet (many blocks),
BEiT and EVA (a ViT with another qkv) and ResNet (the convolutions of EfficientNet) are left out, unless ``FULL_MATRIX``
is set in the environment, as ``make proof`` does.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from studio.backbones import layer_roles, loading
from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.core.recipe import Attachment, Backbone, Recipe
from studio.core.run import Run
from studio.export import EXPORTERS, Exporter, ExportSource, onnx, sidecar_files, torch_program, verify, write_export
from studio.export.contract import formats_for
from studio.peft import METHODS, Method, attach
from studio.peft.adapter_file import save_adapter
from studio.peft.targets import default_attachment
from studio.testing.families import randomize_tensors

_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
_SWIN = {"img_size": 32, "patch_size": 4, "window_size": 4, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2]}
FAMILIES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "vit": ("vit_tiny_patch16_224", _VIT),
    "beit": ("beit_base_patch16_224", _VIT),
    "eva": ("eva02_tiny_patch14_224", _VIT),
    "swin": ("swin_tiny_patch4_window7_224", _SWIN),
    "convnext": ("convnext_tiny", {"depths": [1, 1, 1, 1], "dims": [8, 8, 16, 16]}),
    "resnet": ("resnet18", {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}),
    "efficientnet": ("test_efficientnet", {}),
    "mobilenet": ("mobilenetv3_small_050", {}),
}
WHOLE = "FULL_MATRIX" in os.environ
LABELS = ("a", "b", "c")
GROUP_SIZE = 6
CONVOLUTIONS = ("convnext", "efficientnet", *(["resnet", "mobilenet"] if WHOLE else []))
TRANSFORMERS = ("vit", "swin", *(["beit", "eva"] if WHOLE else []))
_CHILD = """
import json, runpy, sys
folders, paths = json.load(sys.stdin)
sys.modules["studio"] = None
found = {}
for folder in sorted(folders, key=lambda name: "adapter" in name):
    if "adapter" in folder:
        sys.modules.pop("studio", None)
    sys.modules.pop("preprocess", None)
    sys.path.insert(0, folder)
    try:
        found[folder] = runpy.run_path(folder + "/predict.py")["logits"](paths)
    except BaseException as error:
        found[folder] = repr(error)
    sys.path.remove(folder)
print(json.dumps(found))
"""


def backbone(family: str, folder: Path) -> Backbone:
    """Create a small backbone of the family as a timm model folder, with random weights in every layer."""
    folder.mkdir()
    name, args = FAMILIES[family]
    torch.manual_seed(0)
    module = timm.create_model(name, num_classes=len(LABELS), **args)
    randomize_tensors(module)
    save_file(module.state_dict(), folder / "model.safetensors")
    cfg = module.pretrained_cfg | {"input_size": [3, 32, 32], "num_classes": len(LABELS)}
    config = {"architecture": name, "num_classes": len(LABELS), "model_args": args, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(config))
    return Backbone(name=family, source="local", weights=str(folder))


def pictures(folder: Path) -> list[Path]:
    """Create four images of noise."""
    draw = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(4)]
    for path in paths:
        Image.fromarray(draw.integers(0, 256, (40, 36, 3), np.uint8)).save(path)
    return paths


@dataclass
class Matrix:
    """One family's part of the matrix, in ``folder``."""

    family: str
    folder: Path

    def __post_init__(self) -> None:
        self.backbone = backbone(self.family, self.folder / "backbone")
        self.layers = layer_roles.describe_layers(loading.build_on_meta(self.backbone))
        self.images = pictures(self.folder)

    def attachment(self, method: Method[Any]) -> Attachment | None:
        """Return the method at its default targets; None if it does not support the family."""
        fields = {"adapters": self.adapters()} if method.name == "fusion" else {}
        try:
            return default_attachment(method, self.layers, config=fields)
        except StudioError:
            return None

    def source(self, name: str, attachments: Sequence[Attachment]) -> ExportSource:
        """Return a source with the attachments, with random changes of all their tensors."""
        torch.manual_seed(1)
        module = loading.load_backbone(self.backbone, len(LABELS))
        identity, preprocessing = loading.weights_digest(module), loading.resolve_preprocessing(module)
        attached = attach(module, attachments)
        with torch.no_grad():
            for parameter in attached.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        recipe = Recipe(backbone=self.backbone, attachments=tuple(attachments))
        run = Run.create(recipe, self.folder / f"run-{name}")
        return ExportSource(run, recipe, attached.eval(), LABELS, preprocessing, identity)

    def adapters(self) -> list[str]:
        """Return two trained adapters to fuse; none if the family supports no adapters."""
        return [str(path) for number in range(2) if (path := self._adapter(number))]

    def _adapter(self, number: int) -> Path | None:
        folder = self.folder / f"fused-{number}"
        try:
            made = default_attachment(METHODS.get("pfeiffer"), self.layers, taken_names=[f"x{number}"])
        except StudioError:
            return None
        if not folder.is_dir():
            source = self.source(folder.name, [made])
            folder.mkdir()
            save_adapter(source.model, source.recipe.attachments, folder, source.weights_digest, {})
        return folder

    def cells(self) -> "Iterator[Cell]":
        """Yield every method that supports the family, in every format."""
        made = {method.name: found for method in METHODS if (found := self.attachment(method))}
        together = [[name] for name in made] if WHOLE else list(_groups(sorted(made, key=_order)))
        for names in [[name] for name in made]:
            yield from self._cells(names, [made[name] for name in names], slow=False)
        for names in together:
            yield from self._cells(names, [made[name] for name in names], slow=True)

    def _cells(self, names: list[str], attachments: list[Attachment], slow: bool) -> "Iterator[Cell]":
        source = self.source(f"{'-'.join(names)}-{slow}", attachments)
        for exporter in EXPORTERS:
            if exporter.slow == slow:
                yield Cell(self, names, exporter, source)

    def answers(self, folders: list[Path]) -> dict[str, Any]:
        """Return the logits, or the error, of each export's predict.py; only adapters may import this program."""
        given = json.dumps([list(map(str, folders)), list(map(str, self.images))])
        done = subprocess.run(
            [sys.executable, "-c", _CHILD], input=given, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1])


@dataclass
class Cell:
    """One or several methods in one format on one family."""

    matrix: Matrix
    methods: list[str]
    exporter: Exporter
    source: ExportSource

    def __str__(self) -> str:
        return f"{' + '.join(self.methods)} as {self.exporter.name} on {self.matrix.family}"

    @property
    def folder(self) -> Path:
        return self.matrix.folder / f"{self.exporter.name}-{'-'.join(self.methods)}"

    def write(self) -> str:
        """Write the export; return the error text if it is refused."""
        self.folder.mkdir()
        try:
            write_export._check_methods(self.exporter, self.source.run)
            self.exporter.write(self.source, self.folder)
        except StudioError as error:
            return str(error)
        sidecar_files.write_sidecar_files(self.exporter, self.source, self.folder)
        return ""

    def names_formats_that_work(self, sentence: str) -> bool:
        """Return whether an error names another format that supports the methods, or says to choose one."""
        supported = {name for method in self.methods for name in formats_for(METHODS.get(method))}
        return "Choose another format." in sentence or any(f in sentence for f in supported - {self.exporter.name})

    def problem(self, logits: Any) -> str:
        """Return how an export differs from the live model; empty if it does not."""
        if isinstance(logits, str):
            return f"{self}: {logits}"
        live = verify._live_logits(self.source, [self.matrix.images], len(self.matrix.images))
        exported = verify._ExportLogits(torch.tensor(logits), N_("a fresh process"))
        found = verify._compare(self.exporter, self.source, live, exported)
        return "" if found.passed and found.agreement == 1 else f"{self}: {found}"


def _order(method: str) -> tuple[bool, str]:
    """Sort DoRA, which needs unchanged weights, and SSF, which needs norms, first."""
    return method not in ("dora", "ssf"), method


def _groups(names: list[str]) -> Iterator[list[str]]:
    return (names[start : start + GROUP_SIZE] for start in range(0, len(names), GROUP_SIZE))


def check(family: str, folder: Path) -> None:
    """Fail if an export of the family differs from the live model, or an error names no other format."""
    matrix, written, unhelpful = Matrix(family, folder), [], []
    for cell in matrix.cells():
        refusal = cell.write()
        if not refusal:
            written.append(cell)
        elif not cell.names_formats_that_work(refusal):
            unhelpful.append(f"{cell}: {refusal}")
    assert not unhelpful
    answers = matrix.answers([cell.folder for cell in written])
    assert not [problem for cell in written if (problem := cell.problem(answers[str(cell.folder)]))]
    general = set(formats_for(*METHODS))
    methods = {name: {m for cell in written if cell.exporter.name == name for m in cell.methods} for name in general}
    assert {"adapter", "torch", "onnx"} <= general
    assert all(found == methods["adapter"] for found in methods.values())
    assert len(methods["adapter"]) > len(list(METHODS)) // 3


@pytest.fixture
def traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace each source once for all formats that need it."""
    traces: dict[int, Any] = {}
    original = torch_program.trace_program

    def trace(source: ExportSource) -> Any:
        if id(source) not in traces:
            traces.clear()
            traces[id(source)] = original(source)
        return traces[id(source)]

    for place in (torch_program, onnx):
        monkeypatch.setattr(place, "trace_program", trace)
