"""The main job on the command line, in processes of its own, on the bundled backbone and some of the bundled images."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from studio.core.paths import resource
from studio.core.run import Run
from tests.e2e.running import studio

RECIPE = resource("recipes", "digits-lora.toml")


def answer(*arguments: object, home: Path) -> dict[str, object]:
    """The one JSON object that a verb prints."""
    done = studio(*arguments, "--json", home=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty images of each of three digits."""
    folder = tmp_path_factory.mktemp("digits")
    for label in "035":
        (folder / label).mkdir()
        for image in sorted(resource("digits", label).glob("*.png"))[:20]:
            (folder / label / image.name).symlink_to(image)
    return folder


def test_the_main_job(digits: Path, tmp_path: Path) -> None:
    run, settings = tmp_path / "run", ["--set", f"data.path={digits}", "--set", "training.epochs=4"]

    trained = answer("train", RECIPE, "--out", run, *settings, home=tmp_path)
    assert trained["run"] == str(run)
    assert trained["metrics"]["epoch"] == 4
    assert Run.open(run).recipe.training.epochs == 4

    counted = answer("inspect", run, home=tmp_path)
    assert counted["trainable_parameters"] == 6 * 2 * (8 * 96 + 96 * 8) + 3 * 97
    assert counted["attachments"][0]["matched"] == [f"blocks.{i}.attn.qkv" for i in range(6)]

    measured = answer("evaluate", run, home=tmp_path)
    assert measured["accuracy"] == pytest.approx(trained["best_accuracy"])
    assert measured["accuracy"] > 0.8
    assert sum(map(sum, measured["confusion"])) == measured["images"] == 12

    merged = tmp_path / "merged"
    exported = answer("export", run, "--format", "merged", "--out", merged, home=tmp_path)
    assert exported["largest_difference"] < 1e-5
    assert exported["agreement"] == 1.0

    images = [digits / label / next((digits / label).iterdir()).name for label in "035"]
    by_run = answer("predict", run, *images, home=tmp_path)["predictions"]
    by_export = answer("predict", merged, *images, home=tmp_path)["predictions"]
    assert [p["class"] for p in by_run] == [p["class"] for p in by_export]

    again = studio("export", run, "--format", "merged", "--out", merged, home=tmp_path)
    assert again.returncode == 2
    assert "already exists" in again.stderr


def test_progress_goes_to_stderr_as_plain_lines_and_the_result_to_stdout(digits: Path, tmp_path: Path) -> None:
    settings = ["--set", f"data.path={digits}", "--set", "training.epochs=1"]
    done = studio("train", RECIPE, "--out", tmp_path / "run", *settings, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Training: epoch 1, loss" in done.stderr
    assert "\x1b" not in done.stderr
    assert "best validation accuracy" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="a process there cannot be sent Ctrl+C alone")
def test_ctrl_c_stops_cleanly_and_the_run_goes_on(digits: Path, tmp_path: Path) -> None:
    run, settings = tmp_path / "run", ["--set", f"data.path={digits}", "--set", "training.epochs=300"]
    process = subprocess.Popen(
        [sys.executable, "-m", "studio", "train", str(RECIPE), "--out", str(run), *settings],
        env=os.environ | {"PEFT_STUDIO_HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not any(type(event).__name__ == "Step" for event in Run(run).events()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"Resume it: {sys.executable} -m studio train {run} --resume" in said
    assert "Traceback" not in said
    stopped_at = Run(run).events()[-1]
    assert (type(stopped_at).__name__, stopped_at.reason) == ("Finished", "stopped")

    recipe = Run(run).recipe
    last = max(e.epoch for e in Run(run).events() if type(e).__name__ == "Evaluation") + 2
    recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": last})}).save(
        run / "recipe.toml"
    )
    resumed = answer("train", run, "--resume", home=tmp_path)
    assert resumed["reason"] == "completed"
    assert resumed["metrics"]["step"] > stopped_at.step


def test_what_suits_a_recipe_is_found_and_taken(digits: Path, tmp_path: Path) -> None:
    on_digits = ["train", RECIPE, "--set", f"data.path={digits}"]
    found = answer(*on_digits, "--find-rate", home=tmp_path)
    assert isinstance(found["rates"], list)
    assert isinstance(found["suggestion"], float)
    assert found["rates"][0] < found["suggestion"] < 1
    assert not (tmp_path / "runs").exists()
    made = answer(*on_digits, "--suggest", "--set", "training.epochs=1", "--out", tmp_path / "run", home=tmp_path)
    training = Run.open(tmp_path / "run").recipe.training
    assert (training.batch_size, training.learning_rate, training.epochs) == (4, 0.005, 1)
    assert 0 <= float(str(made["waited"])) <= float(str(made["seconds"]))


def test_no_verbs_help_imports_what_is_slow(tmp_path: Path) -> None:
    code = """
import contextlib, io, sys
from studio.cli.main import main
for verb in ("", "app", "demo", "methods", "backbones", "inspect", "data", "train", "evaluate", "predict", "export",
             "compare", "doctor", "sweep", "import", "xray"):
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        main([*verb.split(), "--help"])
    assert "Usage:" in said.getvalue(), verb
slow = {"torch", "timm", "PySide6", "pydantic", "numpy", "rich", "PIL"} & set(sys.modules)
assert not slow, slow
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
