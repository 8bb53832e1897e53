"""Every method in every format on one family of backbones, all answered for by one fresh process.

A program (onnx, torch) takes a second or two to trace, so these hold several methods each, and MobileNet with its many
blocks is left out, unless ``FULL_MATRIX`` is set in the environment, as ``make proof`` does.
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
from studio.core.recipe import Attachment, Backbone, Recipe
from studio.core.run import Run
from studio.export import Exporter, ExportSource, exporters, onnx, sidecar_files, torch_program, verify, write_export
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
PROGRAMS, FILES = ("onnx", "torch"), ("adapter", "merged", "peft")
EVERYWHERE = ("adapter", "torch", "onnx")
"""Formats that take whatever goes on a family."""
TOGETHER = 6
CONVOLUTIONS = ("convnext", "resnet", "efficientnet", *(["mobilenet"] if WHOLE else []))
TRANSFORMERS = ("vit", "beit", "eva", "swin")
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
    """A small backbone of the family as a timm model folder, with weights that make every layer matter."""
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
    """Four images of noise."""
    draw = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(4)]
    for path in paths:
        Image.fromarray(draw.integers(0, 256, (40, 36, 3), np.uint8)).save(path)
    return paths


@dataclass
class Matrix:
    """One family's part of the matrix, kept in ``folder``."""

    family: str
    folder: Path

    def __post_init__(self) -> None:
        self.backbone = backbone(self.family, self.folder / "backbone")
        self.layers = layer_roles.describe_layers(loading.build_on_meta(self.backbone))
        self.images = pictures(self.folder)

    def attachment(self, method: Method[Any]) -> Attachment | None:
        """The method where it goes by default; None where it is refused."""
        fields = {"adapters": self.adapters()} if method.name == "fusion" else {}
        try:
            return default_attachment(method, self.layers, config=fields)
        except StudioError:
            return None

    def subject(self, name: str, attachments: Sequence[Attachment]) -> ExportSource:
        """The attachments, moved well away from where they begin."""
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
        """Two trained adapters to fuse; none where the family takes none."""
        return [str(path) for number in range(2) if (path := self._adapter(number))]

    def _adapter(self, number: int) -> Path | None:
        folder = self.folder / f"fused-{number}"
        try:
            made = default_attachment(METHODS.get("pfeiffer"), self.layers, taken_names=[f"x{number}"])
        except StudioError:
            return None
        if not folder.is_dir():
            subject = self.subject(folder.name, [made])
            folder.mkdir()
            save_adapter(subject.model, subject.recipe.attachments, folder, subject.weights_digest, {})
        return folder

    def cells(self) -> "Iterator[Cell]":
        """Every method that goes on the family, in every format."""
        made = {method.name: found for method in METHODS if (found := self.attachment(method))}
        together = [[name] for name in made] if WHOLE else list(_groups(sorted(made, key=_order)))
        for names in [[name] for name in made]:
            yield from self._cells(names, [made[name] for name in names], exclude=PROGRAMS)
        for names in together:
            yield from self._cells(names, [made[name] for name in names], exclude=FILES)

    def _cells(self, names: list[str], attachments: list[Attachment], exclude: Sequence[str]) -> "Iterator[Cell]":
        subject = self.subject(f"{'-'.join(names)}-{len(exclude)}", attachments)
        for exporter in exporters:
            if exporter.name not in exclude:
                yield Cell(self, names, exporter, subject)

    def answers(self, folders: list[Path]) -> dict[str, Any]:
        """Logits, or what went wrong, of each export's own predict.py; where it is not an adapter, without us."""
        given = json.dumps([list(map(str, folders)), list(map(str, self.images))])
        done = subprocess.run(
            [sys.executable, "-c", _CHILD], input=given, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1])


@dataclass
class Cell:
    """One method, or several at once, in one format on one family."""

    matrix: Matrix
    methods: list[str]
    exporter: Exporter
    subject: ExportSource

    def __str__(self) -> str:
        return f"{' + '.join(self.methods)} as {self.exporter.name} on {self.matrix.family}"

    @property
    def folder(self) -> Path:
        return self.matrix.folder / f"{self.exporter.name}-{'-'.join(self.methods)}"

    def write(self) -> str:
        """Write the export; the sentence of a refusal, or nothing."""
        self.folder.mkdir()
        try:
            write_export._check_methods(self.exporter, self.subject.run)
            self.exporter.write(self.subject, self.folder)
        except StudioError as error:
            return str(error)
        sidecar_files.write_sidecar_files(self.exporter, self.subject, self.folder)
        return ""

    def names_formats_that_work(self, sentence: str) -> bool:
        """Whether a refusal says where to go instead."""
        able = {name for method in self.methods for name in formats_for(METHODS.get(method))}
        return any(name in sentence for name in able - {self.exporter.name})

    def problem(self, logits: Any) -> str:
        """What is wrong with an export's answers; nothing where it answers as the live model."""
        if isinstance(logits, str):
            return f"{self}: {logits}"
        live = verify._live_logits(self.subject, self.matrix.images)
        found = verify._compare(self.exporter, self.subject, live, torch.tensor(logits), "")
        return "" if found.passed and found.agreement == 1 else f"{self}: {found}"


def _order(method: str) -> tuple[bool, str]:
    """DoRA wants weights as they are, and SSF norms, so these come first."""
    return method not in ("dora", "ssf"), method


def _groups(names: list[str]) -> Iterator[list[str]]:
    return (names[start : start + TOGETHER] for start in range(0, len(names), TOGETHER))


def check(family: str, folder: Path) -> None:
    """Fail where an export of the family answers otherwise than the live model, or a refusal does not help."""
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
    alike = {name: {m for cell in written if cell.exporter.name == name for m in cell.methods} for name in EVERYWHERE}
    assert alike["adapter"] == alike["torch"] == alike["onnx"]
    assert len(alike["adapter"]) > len(list(METHODS)) // 3


@pytest.fixture
def traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing of a subject, shared by the formats that need it."""
    traces: dict[int, Any] = {}
    original = torch_program.trace_program

    def trace(subject: ExportSource) -> Any:
        if id(subject) not in traces:
            traces.clear()
            traces[id(subject)] = original(subject)
        return traces[id(subject)]

    for place in (torch_program, onnx):
        monkeypatch.setattr(place, "trace_program", trace)
