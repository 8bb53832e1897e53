"""One package adds a method, an exporter, a source and a page; each is found everywhere without another edit."""

import json
from pathlib import Path

import pytest

from studio.core.paths import resource
from studio.core.recipe import Attachment, Recipe
from tests.e2e.plugins import ROOT, contract_tests, install, run, run_python

PLUGIN = ROOT / "tests" / "data" / "plugin_all"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    environment = install(PLUGIN, tmp_path_factory.mktemp("site"))
    home = str(tmp_path_factory.mktemp("home"))
    return environment | {"PEFT_STUDIO_HOME": home, "QT_QPA_PLATFORM": "offscreen"}


@pytest.fixture(scope="module")
def listing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of some bundled digits in the plugin's own format."""
    rows = [f"{image}\t{label}" for label in "03" for image in sorted(resource("digits", label).glob("*.png"))[:12]]
    path = tmp_path_factory.mktemp("images") / "digits.listing"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(installed: dict[str, str], listing: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the plugin's method on the plugin's source."""
    folder = tmp_path_factory.mktemp("runs")
    gate = Attachment(name="gate", method="gate", at=("blocks.*.attn.qkv",))
    recipe = Recipe.load(resource("recipes", "digits-lora.toml")).model_copy(update={"attachments": (gate,)})
    recipe.save(folder / "recipe.toml")
    settings = ("--set", f"data.path={listing}", "--set", "training.epochs=1")
    run(installed, "studio", "train", folder / "recipe.toml", "--out", folder / "run", *settings)
    return folder / "run"


def test_the_command_line_finds_the_method(installed: dict[str, str]) -> None:
    method = json.loads(run(installed, "studio", "methods", "gate", "--json"))
    assert method["label"] == "Gate"
    assert {"merged", "traced"} <= set(method["exports"])


def test_the_command_line_finds_the_source(installed: dict[str, str], listing: Path) -> None:
    report = json.loads(run(installed, "studio", "data", "check", listing, "--json"))
    assert report["classes"] == {"0": 12, "3": 12}


def test_the_help_finds_the_exporter(installed: dict[str, str]) -> None:
    assert "traced" in run(installed, "studio", "export", "--help")


def test_an_export_is_verified_with_the_plugins_script(
    installed: dict[str, str], trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "traced"
    result = json.loads(run(installed, "studio", "export", trained, "--format", "traced", "--out", out, "--json"))
    assert result["agreement"] == 1.0
    assert result["images"] > 0
    assert result["loaded_with"].startswith("predict.py in a fresh process, with torch")
    assert (out / "model.ts").is_file()
    assert json.loads(run(installed, "studio", "predict", out, resource("digits", "0", "0000.png"), "--json"))


def test_the_window_finds_all(installed: dict[str, str], trained: Path) -> None:
    window = json.loads(run_python(installed, ROOT / "tests" / "e2e" / "plugin_window.py", trained).splitlines()[-1])
    assert window["steps"][-1] == "Notes"
    assert "Notes" in window["menus"]
    assert "Ctrl+9" in window["keys"]
    assert "Listing…" in window["sources"]
    assert "traced" in window["exports"]
    assert "gate" in window["methods"]
    assert window["page"] == window["backbone"]


@pytest.mark.parametrize(("kind", "name"), [("exporter", "traced"), ("source", "listing"), ("page", "notes")])
def test_the_contract_tests_find_each(installed: dict[str, str], kind: str, name: str) -> None:
    output = contract_tests(installed, PLUGIN, f"--{kind}", name)
    assert " passed" in output
    assert "failed" not in output.splitlines()[-1]


def test_the_contract_tests_find_the_method(installed: dict[str, str]) -> None:
    output = contract_tests(installed, PLUGIN, "--method", "gate")
    assert " passed" in output
    assert "failed" not in output.splitlines()[-1]
