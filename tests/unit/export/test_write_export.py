"""Exports: complete, verified in a process of their own, and discarded on any failure."""

import json
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from studio.app.prediction import predict
from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Recipe
from studio.core.run import Run
from studio.evaluation import restore
from studio.export import EXPORTERS, contract, export, verify
from studio.export.merged import MergedExporter
from tests.unit.export.conftest import elsewhere, images_of, trained

FORMATS = [exporter.name for exporter in EXPORTERS]
INDEPENDENT = [exporter.name for exporter in EXPORTERS if "studio" not in exporter.predict_packages]
SIDECARS = {"labels.json", "preprocessing.json", "preprocess.py", "predict.py", "README.md", "verification.json"}


def no_leftovers(out: Path) -> bool:
    return not out.exists() and not list(out.parent.glob(f".*{out.name}"))


def test_the_formats_of_this_program_are_registered() -> None:
    assert {"adapter", "merged", "torch", "onnx", "peft"} <= set(FORMATS)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.slow
def test_an_export_is_complete_verified_and_predicts_what_the_run_predicts(
    form: str, run: Run, recipe: Recipe, tmp_path: Path
) -> None:
    out = tmp_path / "exports" / form
    verification = export(run, form, out)

    assert verification.passed
    assert verification.agreement == 1.0
    assert verification.images == 6
    assert "predict.py in a fresh process" in verification.loaded_with
    assert ("studio" in verification.loaded_with) == (form not in INDEPENDENT)
    assert SIDECARS | {EXPORTERS.get(form).marker_file} <= {file.name for file in out.iterdir()}
    assert json.loads((out / "verification.json").read_text())["largest_difference"] == verification.largest_difference
    assert json.loads((out / "labels.json").read_text()) == ["a", "b", "c"]

    images = images_of(recipe)[::5]
    here, there = predict(run.path, images), predict(out, images)
    assert [answer.top_k(1)[0][0] for answer in here] == [answer.top_k(1)[0][0] for answer in there]
    for mine, theirs in zip(here, there, strict=True):
        assert mine.probabilities == pytest.approx(theirs.probabilities, abs=1e-5)


@pytest.mark.parametrize("form", INDEPENDENT)
@pytest.mark.usefixtures("in_process")
@pytest.mark.slow
def test_the_script_in_an_export_runs_where_this_program_cannot_be_imported(
    form: str, run: Run, recipe: Recipe, tmp_path: Path
) -> None:
    out, images = tmp_path / form, images_of(recipe)[::7]
    export(run, form, out)
    said = elsewhere(
        f"import runpy; sys.path.insert(0, {str(out)!r}); sys.argv[1:] = {list(map(str, images))!r}\n"
        f"runpy.run_path({str(out / 'predict.py')!r}, run_name='__main__')"
    )
    classes = [line.split("\t")[1] for line in said.strip().splitlines()]
    assert classes == [answer.top_k(1)[0][0] for answer in predict(run.path, images)]


@pytest.mark.usefixtures("in_process")
@pytest.mark.slow
def test_a_merged_export_is_a_timm_model_with_the_same_logits(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "merged"
    export(run, "merged", out)
    said = elsewhere(f"""
import json, timm, torch
model = timm.create_model("local-dir:{out}", pretrained=True).eval()
with torch.inference_mode():
    logits = model(torch.linspace(-1, 1, 3072).view(1, 3, 32, 32)).tolist()
print(json.dumps([type(model).__name__, model.pretrained_cfg["label_names"], logits]))
""")
    kind, labels, logits = json.loads(said)
    with torch.inference_mode():
        live = restore.load_trained(run).model.module(torch.linspace(-1, 1, 3072).view(1, 3, 32, 32))
    assert kind == "VisionTransformer"
    assert labels == ["a", "b", "c"]
    assert float((torch.tensor(logits) - live).abs().max()) < 1e-5


@pytest.mark.usefixtures("in_process")
def test_a_changed_export_is_discarded(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = MergedExporter.write

    def write_wrongly(self, source, folder):
        write(self, source, folder)
        tensors = load_file(folder / "model.safetensors")
        tensors["blocks.0.attn.qkv.weight"] *= 1.01
        save_file(tensors, folder / "model.safetensors")

    monkeypatch.setattr(MergedExporter, "write", write_wrongly)
    out = tmp_path / "exports" / "merged"
    with pytest.raises(StudioError, match="was discarded"):
        export(run, "merged", out)
    assert no_leftovers(out)


def test_a_script_that_does_not_run_discards_the_export(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('no such thing')")
    monkeypatch.setattr(MergedExporter, "predict_script", broken)
    with pytest.raises(StudioError) as raised:
        export(run, "merged", tmp_path / "merged")
    assert raised.value.code == "export-script-failed"
    assert raised.value.message.values["reason"] == "RuntimeError: no such thing"
    assert no_leftovers(tmp_path / "merged")


@pytest.mark.usefixtures("in_process")
def test_an_existing_folder_is_replaced_only_on_request(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "merged"
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    with pytest.raises(StudioError) as raised:
        export(run, "merged", out)
    assert raised.value.code == "folder-not-empty"
    assert (out / "precious.txt").read_text() == "mine"

    export(run, "merged", out, overwrite=True)
    assert not (out / "precious.txt").exists()
    assert (out / "model.safetensors").exists()
    assert not list(tmp_path.glob(".*merged"))


@pytest.mark.usefixtures("in_process")
def test_a_failed_overwrite_leaves_the_old_folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "merged"
    export(run, "merged", out)
    before = (out / "model.safetensors").read_bytes()
    monkeypatch.setattr(MergedExporter, "relative_tolerance", -1.0)
    with pytest.raises(StudioError, match="was discarded"):
        export(run, "merged", out, overwrite=True)
    assert (out / "model.safetensors").read_bytes() == before


def test_a_method_that_does_not_merge_is_refused_with_other_formats(recipe: Recipe, tmp_path: Path) -> None:
    houlsby = Attachment(name="h", method="houlsby", at=("blocks.*.mlp",))
    run = trained(recipe.model_copy(update={"attachments": (houlsby,)}), tmp_path / "run-h")
    for form in ("merged", "peft"):
        with pytest.raises(StudioError) as raised:
            export(run, form, tmp_path / form)
        assert raised.value.code == "unsupported-format"
        assert sorted(str(raised.value.message.values["formats"]).split(", ")) == ["adapter", "onnx", "torch"]
        assert no_leftovers(tmp_path / form)


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(name: str) -> ModuleSpec | None:
        return None if name == "onnxscript" else ModuleSpec(name, None)

    monkeypatch.setattr(contract, "find_spec", find)
    with pytest.raises(StudioError) as raised:
        export(run, "onnx", tmp_path / "onnx")
    assert raised.value.code == "missing-package"
    assert raised.value.message.values["packages"] == "onnxscript"
    assert raised.value.message.values["wanted"] == "'peft-studio[onnx]'"


def test_without_peft_its_export_is_loaded_by_our_own_importer(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "missing_packages", lambda packages: ["peft"])
    verification = export(run, "peft", tmp_path / "peft")
    assert verification.passed
    assert verification.loaded_with == "the program's own importer, because peft is not installed"


def test_an_unknown_format_is_refused_with_the_names_of_all(run: Run, tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="There is no export format called 'gguf'") as raised:
        export(run, "gguf", tmp_path / "gguf")
    assert raised.value.code == "unknown-name"


@pytest.mark.usefixtures("in_process")
def test_an_adapter_is_refused_by_another_backbone(run: Run, recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "adapter"
    export(run, "adapter", out)
    raw = json.loads((out / "studio_adapter.json").read_text())
    raw["backbone_identity"] = "0" * 64
    (out / "studio_adapter.json").write_text(json.dumps(raw))
    with pytest.raises(StudioError, match="another backbone"):
        predict(out, images_of(recipe)[:1])


@pytest.mark.usefixtures("in_process")
def test_the_model_card_contains_recipe_data_and_metrics(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "merged"
    export(run, "merged", out)
    card = (out / "README.md").read_text()
    best = max(event.accuracy for event in run.events() if type(event).__name__ == "Evaluation")
    assert f"Validation accuracy {best:.2%}" in card
    assert "lora@blocks.*.attn.qkv:q,v" in card
    assert "18 for training, 6 for validation" in card
    assert "The backbone's weights: not stated" in card
