"""The wheel holds everything that the program needs: code, starter backbone, sample images, recipes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, ROOT], check=True
    )
    (wheel,) = folder.glob("peft_studio-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def studio(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line from the wheel, away from the checkout."""
    environment = os.environ | {"PYTHONPATH": str(site), "PEFT_STUDIO_HOME": str(site / "home")}
    command = [sys.executable, "-P", "-m", "studio", *arguments]
    return subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_counts_attachments_on_the_bundled_backbone(site: Path) -> None:
    done = studio(site, "inspect", "starter", "--attach", "lora@blocks.*.attn.qkv:q,v", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["trainable_parameters"] == 6 * 2 * (8 * 96 + 8 * 96) + 96 * 10 + 10
    assert len(report["attachments"][0]["matched"]) == 6


def test_the_wheel_has_the_sample_images_and_its_code_runs_from_the_wheel(site: Path) -> None:
    images = list((site / "studio" / "resources" / "digits").glob("*/*.png"))
    assert len(images) == 1797
    where = subprocess.run(
        [sys.executable, "-P", "-c", "import studio; print(studio.__file__)"],
        env=os.environ | {"PYTHONPATH": str(site)},
        cwd=site,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(site)
