"""How far an export may be from the run, in either precision, and what is left of one that is further away."""

import ast
from pathlib import Path

import pytest
import torch

from studio.core.errors import StudioError
from studio.core.run import Run
from studio.export import export, exporters, verify

FORMATS = ("adapter", "merged", "torch", "onnx", "peft")
pytestmark = pytest.mark.usefixtures("in_process")


def plant(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """Let every export answer beside the truth by this share of the largest score (at least 1)."""
    load = verify._run_predict_script

    def wrongly(folder: Path, paths: list[Path]) -> tuple[torch.Tensor, str]:
        logits, how = load(folder, paths)
        return logits + share * logits.abs().max().clamp_min(1), how

    monkeypatch.setattr(verify, "_run_predict_script", wrongly)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.slow
def test_halves_have_a_tolerance_of_their_own(
    form: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = export(run, form, tmp_path / "whole")
    halves = export(run, form, tmp_path / "halves", precision="float16")
    exporter = exporters.get(form)
    assert halves.precision == "float16"
    assert whole.largest_difference < halves.largest_difference <= halves.tolerance
    assert halves.tolerance == pytest.approx(exporter.float16_relative_tolerance * max(1, halves.largest_logit))
    assert whole.tolerance == pytest.approx(exporter.relative_tolerance * max(1, whole.largest_logit))

    plant(monkeypatch, 3 * exporter.float16_relative_tolerance)
    with pytest.raises(StudioError, match="was discarded"):
        export(run, form, tmp_path / "refused", precision="float16")
    assert sorted(path.name for path in tmp_path.glob("*refused*")) == []


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.slow
def test_what_fails_to_verify_leaves_nothing_behind(
    form: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, 3 * exporters.get(form).relative_tolerance)
    with pytest.raises(StudioError, match=f"The {form} export was discarded"):
        export(run, form, tmp_path / "exports" / "refused")
    assert list((tmp_path / "exports").iterdir()) == []


@pytest.mark.parametrize("form", FORMATS)
def test_a_script_is_fifteen_lines_of_code_at_most(form: str) -> None:
    source = exporters.get(form).predict_script.read_text(encoding="utf-8")
    tree = ast.parse(source)
    documented = [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))]
    described = {number for node in documented for number in _docstring(node)}
    lines = enumerate(source.splitlines(), 1)
    code = [line for number, line in lines if line.strip() and line.strip()[0] != "#" and number not in described]
    assert len(code) <= 15


def _docstring(node: ast.Module | ast.FunctionDef) -> range:
    first = node.body[0]
    return range(first.lineno, (first.end_lineno or 0) + 1) if ast.get_docstring(node) else range(0)
