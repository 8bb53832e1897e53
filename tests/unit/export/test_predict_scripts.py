"""Each export in a clean environment that has only what it is said to need gives the same answers."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch

from studio.app.prediction import predict
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.export import exporters, sidecar_files, write_export
from tests.unit.export import clean
from tests.unit.export.conftest import images_of

NEEDS = {
    "merged": ("timm", ()),
    "peft": ("peft", ("timm",)),
    "onnx": ("onnxruntime", ("numpy",)),
    "torch": ("torch", ("numpy",)),
}
"""What reads a format, and what else its predict.py says it needs; Pillow always."""
PROOF = """
import importlib.util, json, sys
assert importlib.util.find_spec("studio") is None
{load}

assert not [name for name in {absent} if importlib.util.find_spec(name)], "the environment is not clean"
"""
LOADS = {
    "merged": 'import timm; model = timm.create_model("local-dir:{folder}", pretrained=True)',
    "peft": """
import timm, peft
model = peft.PeftModel.from_pretrained(
    timm.create_model("local-dir:{folder}/backbone", pretrained=True, num_classes=3), "{folder}")
""",
    "onnx": 'import onnxruntime; model = onnxruntime.InferenceSession("{folder}/model.onnx")',
    "torch": 'import torch; model = torch.export.load("{folder}/model.pt2")',
}
ABSENT = {"merged": ["peft", "onnxruntime"], "peft": ["onnxruntime"], "onnx": ["torch", "timm"], "torch": ["timm"]}
SCRIPT = """
import json, sys, runpy
sys.path.insert(0, {folder!r})
print(json.dumps(runpy.run_path({folder!r} + "/predict.py")["logits"]({images!r})))
"""


def run_in(python: Path, *arguments: str) -> str:
    clear = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [python, *arguments], cwd=python.parent, env=clear, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", NEEDS)
@pytest.mark.slow
def test_an_export_answers_in_an_environment_without_this_program(
    form: str, run: Run, recipe: Recipe, tmp_path: Path
) -> None:
    reader, others = NEEDS[form]
    python = clean.make(tmp_path / "environment", (reader, *others, "pillow"))
    folder, images = tmp_path / "export", images_of(recipe)[::7]
    subject = write_export._load_source(run)
    folder.mkdir()
    exporters.get(form).write(subject, folder)
    sidecar_files.write_sidecar_files(exporters.get(form), subject, folder)
    moved = folder.rename(tmp_path / "moved elsewhere")

    run_in(python, "-c", PROOF.format(load=LOADS[form].format(folder=moved), absent=ABSENT[form]))
    logits = json.loads(run_in(python, "-c", SCRIPT.format(folder=str(moved), images=list(map(str, images)))))
    live = predict(run.path, images)
    said = run_in(python, str(moved / "predict.py"), *map(str, images)).strip().splitlines()
    assert [line.split("\t")[1] for line in said] == [answer.top_k(1)[0][0] for answer in live]
    odds = torch.tensor(logits).softmax(1)
    for row, answer in zip(odds, live, strict=True):
        expected = torch.tensor([answer.probabilities[label] for label in subject.labels])
        assert float((row - expected).abs().max()) < 1e-5
