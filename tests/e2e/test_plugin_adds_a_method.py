"""Somebody installs the example plugin: its method is everywhere, without another edit."""

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "plugins" / "example_method"
OPTIONS = "studio.testing.options"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the plugin is found as an installed one is: by the metadata of its distribution."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())
    metadata = site / "peft_studio_lokr-1.0.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['project']['name']}\nVersion: 1.0.0\n")
    groups = project["project"]["entry-points"].items()
    lines = [line for group, names in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in names.items()))]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for name in project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]:
        (site / name).write_bytes((PLUGIN / name).read_bytes())
    path = os.pathsep.join([str(site), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def run(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_command_line_knows_it(installed: dict[str, str]) -> None:
    method = json.loads(run(installed, "studio", "methods", "lokr", "--json"))
    assert method["label"] == "LoKr"
    assert method["mergeable"]
    assert "merged" in method["exports"]
    assert [field["name"] for field in method["fields"]] == ["factor", "scale"]
    names = [method["name"] for method in json.loads(run(installed, "studio", "methods", "--json"))["methods"]]
    assert names.index("lora") < names.index("lokr") < names.index("ia3")  # among its family


def test_the_counter_counts_it(installed: dict[str, str]) -> None:
    arguments = ("vit_tiny_patch16_224", "--attach", "lokr@blocks.*.attn.qkv,factor=8", "--json")
    census = json.loads(run(installed, "studio", "inspect", *arguments))
    width, blocks, factor = 192, 12, 8
    assert census["attachments"][0]["parameters"] == blocks * (factor**2 + 3 * width * width // factor**2)
    assert len(census["attachments"][0]["matched"]) == blocks


def test_it_passes_the_contract(installed: dict[str, str]) -> None:
    known = any(entry.value == OPTIONS for entry in entry_points(group="pytest11"))
    plugin = () if known else ("-p", OPTIONS)
    kit = ("--pyargs", "studio.testing", "--method", "lokr", "--matrix", "-q", "-p", "no:cacheprovider")
    said = run(installed, "pytest", *plugin, *kit, "--rootdir", str(PLUGIN), "-c", os.devnull)
    assert "lokr on resnet" in said
    assert " passed" in said
    assert "failed" not in said.splitlines()[-1]


def test_without_it_there_is_none() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "studio", "methods", "lokr"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "lokr" in done.stderr
    assert "Traceback" not in done.stderr
