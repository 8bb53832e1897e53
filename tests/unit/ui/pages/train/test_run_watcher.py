"""Watching a run that another process trains."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.ui.pages.train.run_watcher import RunWatcher
from studio.ui.services.trainer import RunRegistry, TrainingController
from tests.unit.conftest import MakeRecipe

ROOT = Path(__file__).parents[5]
SOON = 60_000


def start_process(recipe: Recipe, run: Run) -> subprocess.Popen[bytes]:
    path = run.path.parents[1] / "recipe.toml"
    recipe.save(path)
    command = [sys.executable, "-m", "studio", "train", str(path), "--out", str(run.path)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_steps_and_end_of_another_process_are_followed(qtbot: QtBot, home: Path, make_recipe: MakeRecipe) -> None:
    run = Run(home / "runs" / "outside")
    trainer = TrainingController()
    runs = RunRegistry(trainer)
    live = RunWatcher(runs.worker)
    runs.start()
    with start_process(make_recipe(epochs=100_000), run) as other:
        qtbot.waitUntil(lambda: (row := runs.find(run)) is not None and row.live, timeout=SOON)
        live.watch(run, live=True)
        qtbot.waitUntil(lambda: live.history.step > 2, timeout=SOON)
        seen = live.history.step
        qtbot.waitUntil(lambda: live.history.step > seen, timeout=SOON)
        other.terminate()
    qtbot.waitUntil(lambda: (row := runs.find(run)) is not None and row.state == "stopped", timeout=SOON)
    live.stop()
    assert live.history.ended is not None
    runs.close()
    trainer.close()
