"""A person opens the window for the first time and leaves with verified, merged weights."""

import os
import sys
import threading
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import pytest
from story import Story, wait

from studio.ui.application import make_application
from tests.windows import StudioWindow as MainWindow

ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "story"


@pytest.fixture(scope="session")
def qapp():
    return make_application(["peft-studio"], "light")


@pytest.mark.qt_log_level_fail("WARNING")
@pytest.mark.qt_log_ignore("This plugin does not support")
def test_from_the_sample_project_to_an_export(qapp, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(tmp_path / "home"))
    window = MainWindow()
    window.show()
    story = Story(window, ARTIFACTS, epochs=1)
    try:
        story.tell()
        accuracy = float(window.results.accuracy.text().removesuffix(" %"))
        assert accuracy > 50
        exported = window.workspace.runs.selected.path / "exports" / "merged"
        assert (exported / "model.safetensors").exists()
        assert len(story.pictures) >= 18
    finally:
        window.workspace.trainer.stop()
        wait(lambda: not window.workspace.trainer.running, "the end of training")
        story.end()
    assert not [t.name for t in threading.enumerate() if t.name in {"engine", "images", "training", "results"}]
