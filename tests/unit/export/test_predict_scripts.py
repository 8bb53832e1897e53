"""Each export predicts the same in an environment with only the packages that it names."""

import ast
import json
import os
import subprocess
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import torch

from studio.app.prediction import predict
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.export import EXPORTERS, Exporter, sidecar_files, write_export
from tests.unit.export import clean
from tests.unit.export.conftest import images_of

INDEPENDENT = [exporter for exporter in EXPORTERS if "studio" not in exporter.predict_packages]
"""Formats that do not need this program."""
USAGE = """
import importlib.util, sys
assert not [name for name in {absent} if importlib.util.find_spec(name)], "the environment is not clean"
{code}
assert model is not None
"""
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


def absent_packages(packages: list[str]) -> list[str]:
    """Packages of other formats that an environment with ``packages`` must not have, and this program."""
    present = {found.metadata["Name"].lower() for found in clean.required(packages)}
    others = {name for exporter in EXPORTERS for name in exporter.predict_packages}
    distributions = packages_distributions()
    return ["studio", *(name for name in others - {"studio"} if not present & _lower(distributions.get(name, [])))]


def _lower(names: list[str]) -> set[str]:
    return {name.lower() for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("exporter", INDEPENDENT, ids=lambda exporter: exporter.name)
def test_an_export_predicts_in_an_environment_without_this_program(
    exporter: Exporter, run: Run, recipe: Recipe, tmp_path: Path
) -> None:
    packages = [*exporter.predict_packages, "numpy", "pillow"]
    python = clean.make(tmp_path / "environment", packages)
    folder, images = tmp_path / "export", images_of(recipe)[::7]
    source = write_export._load_source(run)
    folder.mkdir()
    exporter.write(source, folder)
    sidecar_files.write_sidecar_files(exporter, source, folder)
    moved = folder.rename(tmp_path / "moved elsewhere")

    usage = exporter.python_usage.replace("{folder}", str(moved))
    run_in(python, "-c", USAGE.format(code=usage, absent=absent_packages(packages)))
    logits = json.loads(run_in(python, "-c", SCRIPT.format(folder=str(moved), images=list(map(str, images)))))
    live = predict(run.path, images)
    printed = run_in(python, str(moved / "predict.py"), *map(str, images)).strip().splitlines()
    assert [line.split("\t")[1] for line in printed] == [prediction.top_k(1)[0][0] for prediction in live]
    probabilities = torch.tensor(logits).softmax(1)
    for row, prediction in zip(probabilities, live, strict=True):
        expected = torch.tensor([prediction.probabilities[label] for label in source.labels])
        assert float((row - expected).abs().max()) < 1e-5


@pytest.mark.parametrize("exporter", list(EXPORTERS), ids=lambda exporter: exporter.name)
def test_a_script_is_at_most_sixteen_lines_of_code(exporter: Exporter) -> None:
    source = exporter.predict_script.read_text(encoding="utf-8")
    tree = ast.parse(source)
    documented = [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))]
    described = {number for node in documented for number in _docstring(node)}
    lines = enumerate(source.splitlines(), 1)
    code = [line for number, line in lines if line.strip() and line.strip()[0] != "#" and number not in described]
    assert len(code) <= 16


def _docstring(node: ast.Module | ast.FunctionDef) -> range:
    first = node.body[0]
    return range(first.lineno, (first.end_lineno or 0) + 1) if ast.get_docstring(node) else range(0)
