"""The example plugin: its method is found everywhere after installation, without another edit."""

import json
import subprocess
import sys

import pytest

from tests.e2e.plugins import ROOT, contract_tests, install, run

PLUGIN = ROOT / "plugins" / "example_method"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return install(PLUGIN, tmp_path_factory.mktemp("site"))


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
    counts = json.loads(run(installed, "studio", "inspect", *arguments))
    width, blocks, factor = 192, 12, 8
    assert counts["attachments"][0]["parameters"] == blocks * (factor**2 + 3 * width * width // factor**2)
    assert len(counts["attachments"][0]["matched"]) == blocks


def test_it_passes_the_contract(installed: dict[str, str]) -> None:
    output = contract_tests(installed, PLUGIN, "--method", "lokr", "--matrix")
    assert "lokr on resnet" in output
    assert " passed" in output
    assert "failed" not in output.splitlines()[-1]


def test_without_it_there_is_none() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "studio", "methods", "lokr"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "lokr" in done.stderr
    assert "Traceback" not in done.stderr
