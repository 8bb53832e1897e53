"""The files of the first version, in tests/data/v0, open, resume, evaluate and export as they did then.

Everything goes through the command line and Qt, so that the test is the same whatever the modules are called.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from studio.cli.main import main

V0 = Path(__file__).parent.parent / "data" / "v0"
EXPECTED = json.loads((V0 / "expected.json").read_text(encoding="utf-8"))
FOLDER = "@V0@"
TEXTS = (".toml", ".json", ".jsonl", ".ini", ".md", ".txt", ".log", ".csv")
IMAGES = ("images/0/0000.png", "images/5/0005.png")


def copy_of_the_set(target: Path) -> Path:
    """Copy the set to ``target``, with its new place in the files that name it."""
    shutil.copytree(V0, target)
    for file in target.rglob("*"):
        if file.suffix in TEXTS:
            file.write_bytes(file.read_bytes().replace(FOLDER.encode(), target.as_posix().encode()))
    return target


def answer(folder: Path, *arguments: object) -> Any:
    """The JSON object that a verb prints."""
    done = CliRunner().invoke(main, [*map(str, arguments), "--json"], env={"PEFT_STUDIO_HOME": str(folder / "cache")})
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def agree(actual: Any, expected: Any, where: str = "") -> None:
    """Assert that ``actual`` has all that ``expected`` has, numbers to 1e-5; it may have more keys."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert key in actual, f"{where}: {key} is missing"
            agree(actual[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(actual) == len(expected), where
        for number, (one, other) in enumerate(zip(actual, expected, strict=True)):
            agree(one, other, f"{where}[{number}]")
    elif isinstance(expected, float):
        assert actual == pytest.approx(expected, rel=1e-5, abs=1e-5), where
    else:
        assert actual == expected, where


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def v0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that tests only read."""
    return copy_of_the_set(tmp_path_factory.mktemp("shared") / "v0")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return copy_of_the_set(tmp_path / "v0")


def test_no_file_of_the_set_was_changed() -> None:
    found = {
        file.relative_to(V0).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in V0.rglob("*")
        if file.is_file() and file.name not in ("expected.json", "README.md", ".gitattributes")
    }
    assert found == EXPECTED["files"]


@pytest.mark.parametrize("name", EXPECTED["inspect"])
def test_a_recipe_opens(v0: Path, name: str) -> None:
    agree(answer(v0, "inspect", v0 / "recipes" / f"{name}.toml"), EXPECTED["inspect"][name])


@pytest.mark.parametrize("name", EXPECTED["evaluate"])
def test_a_run_evaluates(v0: Path, name: str) -> None:
    agree(answer(v0, "evaluate", v0 / "runs" / name), EXPECTED["evaluate"][name])


def test_a_run_evaluates_on_the_test_split(v0: Path) -> None:
    agree(answer(v0, "evaluate", v0 / "runs" / "bottleneck", "--split", "test"), EXPECTED["evaluate test"])


def test_runs_compare(v0: Path) -> None:
    runs = [v0 / "runs" / name for name in ("lora", "stopped", "full")]
    agree(answer(v0, "compare", *runs), EXPECTED["compare"])


@pytest.mark.parametrize("name", EXPECTED["predict"])
def test_an_export_predicts(v0: Path, name: str) -> None:
    images = [v0 / image for image in IMAGES]
    agree(answer(v0, "predict", v0 / "exports" / name, *images), EXPECTED["predict"][name])


def test_the_script_of_an_adapter_export_runs(v0: Path) -> None:
    """It imports ``studio.export.adapter.load``, a name that users' files rely on."""
    command = [sys.executable, str(v0 / "exports" / "adapter" / "predict.py"), *(str(v0 / image) for image in IMAGES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    agree([line.split()[1:] for line in done.stdout.replace(str(v0), "").splitlines()], EXPECTED["script"])


def test_two_adapters_predict_side_by_side(v0: Path) -> None:
    packs = [part for name in ("task-0", "task-1") for part in ("--pack", v0 / "exports" / name)]
    agree(answer(v0, "predict", *packs, v0 / IMAGES[0]), EXPECTED["pack"])


def test_a_run_exports_as_before(v0: Path, tmp_path: Path) -> None:
    answer(v0, "export", v0 / "runs" / "small", "--format", "adapter", "--out", tmp_path / "adapter")
    answer(v0, "export", v0 / "runs" / "small", "--format", "merged", "--out", tmp_path / "merged")
    tensors = "studio_adapter.safetensors"
    assert (tmp_path / "adapter" / tensors).read_bytes() == (v0 / "exports" / "adapter" / tensors).read_bytes()
    images = [v0 / image for image in IMAGES]
    agree(answer(v0, "predict", tmp_path / "merged", *images), EXPECTED["predict"]["merged"])


def test_a_folder_of_peft_is_imported(v0: Path, tmp_path: Path) -> None:
    options = ("--backbone", v0 / "backbone-small", "--data", v0 / "images", "--out", tmp_path / "run")
    answer(v0, "import", v0 / "exports" / "peft", *options)
    agree(answer(v0, "evaluate", tmp_path / "run"), EXPECTED["evaluate"]["imported"])


def test_a_stopped_run_resumes(own: Path) -> None:
    """Optimizer, EMA, augmentation, mixup and the position in the epoch come from the checkpoint."""
    run = own / "runs" / "stopped"
    before = lines(run)
    agree(answer(own, "train", run, "--resume"), EXPECTED["resume"])
    agree(answer(own, "evaluate", run), EXPECTED["evaluate resumed"])
    after = lines(run)
    assert after[: len(before)] == before
    losses = [event["loss"] for event in after[len(before) :] if event["event"] == "step"]
    agree(losses, EXPECTED["losses resumed"])


def test_a_complete_run_gets_more_epochs(own: Path) -> None:
    run = own / "runs" / "full"
    agree(answer(own, "train", run, "--resume", "--set", "training.epochs=6"), EXPECTED["more epochs"])


def test_decisions_about_images_and_all_settings_hold(v0: Path, tmp_path: Path) -> None:
    """A recipe trains to the same result, and its run keeps every value and the same split."""
    run = tmp_path / "run"
    answer(v0, "train", v0 / "recipes" / "choices.toml", "--out", run)
    agree(answer(v0, "evaluate", run), EXPECTED["evaluate"]["choices"])
    before = v0 / "runs" / "choices"
    made, kept = (tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8")) for folder in (run, before))
    for old, new in {"sides": "split_overrides", "kept": "acknowledged"}.items():
        kept["data"][new] = kept["data"].pop(old)  # the recipe's own names for these changed since
    agree(made, kept)
    agree(*(json.loads((folder / "images.json").read_text(encoding="utf-8"))["splits"] for folder in (run, before)))


@pytest.mark.parametrize("name", ["sweep", "search"])
def test_a_sweep_and_a_search_continue(own: Path, name: str) -> None:
    """The points that are trained are not trained again; the last one is."""
    trained = {file: file.read_bytes() for file in sorted((own / name).glob("*/adapter.safetensors"))}
    found = answer(own, "sweep", own / name)
    agree(found["runs"][: len(trained)], EXPECTED[name])
    assert len(found["runs"]) == len(trained) + 1
    assert {row["state"] for row in found["runs"]} == {"completed"}
    assert {file: file.read_bytes() for file in trained} == trained


PROBE = """
import json, os, sys, time, traceback
from PySide6.QtCore import QAbstractListModel, QTimer, Qt
from PySide6.QtWidgets import (QAbstractButton, QAbstractItemView, QApplication, QLabel, QLineEdit, QMainWindow,
                               QMenu, QMessageBox, QPlainTextEdit)
from studio.cli.main import main

asked, began = [], time.monotonic()

def cells(model, parent):
    flat = isinstance(model, QAbstractListModel)  # Qt keeps the number of its columns private
    for row in range(model.rowCount(parent)):
        for column in range(1 if flat else model.columnCount(parent)):
            yield str(model.data(model.index(row, column, parent), Qt.ItemDataRole.DisplayRole))
        if not flat:
            yield from cells(model, model.index(row, 0, parent))

def texts():
    for widget in QApplication.allWidgets():
        if isinstance(widget, QMenu):
            widget.aboutToShow.emit()
            yield from (action.text() for action in widget.actions())
        elif isinstance(widget, QLabel | QLineEdit | QAbstractButton):
            yield widget.text()
        elif isinstance(widget, QPlainTextEdit):
            yield widget.toPlainText()
        elif isinstance(widget, QAbstractItemView) and widget.model() is not None:
            yield from cells(widget.model(), widget.rootIndex())

def look():
    try:
        look_once()
    except BaseException:
        traceback.print_exc()
        os._exit(1)

def look_once():
    box = QApplication.activeModalWidget()
    if isinstance(box, QMessageBox):
        asked.append(box.text())
        answer = box.button(QMessageBox.StandardButton.Yes)
        if answer is not None:
            answer.click()
            return
    windows = [w for w in QApplication.topLevelWidgets() if isinstance(w, QMainWindow) and w.isVisible()]
    found = sorted(set(texts()))
    wanted = json.loads(sys.argv[2])
    ready = windows and all(any(text in shown for shown in found + asked) for text in wanted)
    if ready or time.monotonic() - began > 40:
        dark = QApplication.palette().window().color().lightness() < 128
        json.dump({"asked": asked, "texts": found, "dark": dark}, open(sys.argv[3], "w"))
        os._exit(0)

original = QApplication.__init__
def begun(self, *arguments):
    original(self, *arguments)
    self.timer = QTimer()
    self.timer.timeout.connect(look)
    self.timer.start(250)
QApplication.__init__ = begun
main(["app", sys.argv[1]])
"""


def test_the_window_opens_its_own_files(own: Path) -> None:
    """It shows the queue, the recent recipes and the unsaved edits, in the language and the theme."""
    run, said = own / "runs" / "lora", own / "said.json"
    wanted = ["queued-0", "queued-1", "bitfit.toml", "low-rank.toml", "unsaved-edit"]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(run), json.dumps(wanted), str(said)],
        env=os.environ | {"PEFT_STUDIO_HOME": str(own / "home"), "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert said.is_file(), done.stderr
    shown = json.loads(said.read_text(encoding="utf-8"))
    assert any("low-rank.toml" in text for text in shown["asked"])
    missing = [text for text in wanted if not any(text in line for line in shown["texts"] + shown["asked"])]
    assert not missing
    assert shown["dark"]
    assert any("\u4e00" <= letter <= "\u9fff" for text in shown["texts"] for letter in text)
    assert not list((own / "home").rglob("*.damaged*"))
