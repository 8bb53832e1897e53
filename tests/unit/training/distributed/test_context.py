"""Several processes train one run with the losses of one, also after a failure."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.core import events
from studio.core.control import TrainControl
from studio.core.recipe import Attachment, Recipe
from studio.core.run import Run
from studio.training.loop import train
from studio.training.run_io import checkpoint
from tests.unit.training.distributed import faulty_rank

MakeRecipe = Callable[..., Recipe]
ROOT = Path(__file__).parents[4]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
PLANS: dict[str, dict[str, Any]] = {
    "all-blocks": {},
    "last-block": {"at": "blocks.1.attn.qkv"},
    "head-alone": {"lora": False},
    "parts": {"accumulation": 2, "class_weights": "balanced", "ema": 0.9},
    "dropped": {"adapter_drop": True},
    "memory": {},
    "loss": {"schedule": "constant", "warmup": 0.0},
    "stop": {},
}
"""Runs by name: what differs from the usual recipe. The last three have something go wrong in the second process."""
SAME = ("all-blocks", "last-block", "head-alone", "parts", "memory")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="torchrun needs libuv, which torch for Windows lacks")


def plain(recipe: Recipe, adapter_drop: bool = False) -> Recipe:
    """Without dropout, whose draws depend on which images are computed together; batches of 5 divide unevenly."""
    attachments = [a.model_copy(update={"config": {**a.config, "dropout": 0.0}}) for a in recipe.attachments]
    if adapter_drop:
        attachments.append(Attachment(name="depth", method="adapter_drop", at=("",), config={"train_most": 1}))
    return recipe.model_copy(update={"attachments": tuple(attachments)})


@pytest.fixture
def make_run(tmp_path: Path, make_recipe: MakeRecipe) -> Callable[..., Run]:
    def make(name: str, adapter_drop: bool = False, **values: Any) -> Run:
        return Run.create(plain(make_recipe(**values), adapter_drop), tmp_path / name)

    return make


def losses(run: Run) -> dict[tuple[str, int], float]:
    kinds = (events.Step, events.Evaluation)
    return {(e.kind, e.step): e.loss for e in run.events() if isinstance(e, kinds)}


def warnings(run: Run) -> list[str]:
    return [event.text for event in run.events() if isinstance(event, events.Warning)]


@pytest.fixture
def trained(make_run: Callable[..., Run]) -> dict[str, Run]:
    """Every plan trained by two processes, one after the other in the same two, as starting them takes longest."""
    runs = {name: make_run(name, **values) for name, values in PLANS.items()}
    faults = [f"{name}={run.path}" for name, run in runs.items()]
    done = subprocess.run(
        [*TORCHRUN, faulty_rank.__file__, *faults],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return runs


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(trained: dict[str, Run], make_run: Callable[..., Run]) -> None:
    for name in SAME:
        alone = make_run(f"{name}-alone", **PLANS[name])
        list(train(alone, TrainControl()))
        expected, found = losses(alone), losses(trained[name])
        assert found.keys() == expected.keys(), name
        assert list(found.values()) == pytest.approx(list(expected.values()), rel=0, abs=1e-5), name
    assert {name: run.status["state"] for name, run in trained.items()} == dict.fromkeys(trained, "completed") | {
        "stop": "stopped"
    }
    features_are_kept(trained["last-block"])
    memory_is_small_for_both(trained["memory"])
    both_go_back(trained["loss"])
    both_stop(trained["stop"], trained["all-blocks"])


def features_are_kept(run: Run) -> None:
    environment = json.loads((run.path / "environment.json").read_text())
    assert (environment["frozen_before"], environment["processes"]) == ("blocks.1", 2)


def memory_is_small_for_both(run: Run) -> None:
    assert warnings(run)[1:] == ["Out of memory at 3 images. Each batch of 3 is now split into 2 micro-batches."]


def both_go_back(run: Run) -> None:
    steps = [event for event in run.events() if isinstance(event, events.Step)]
    assert [step.step for step in steps if step.loss != step.loss] == [2, 6, 7, 8]
    assert "returns to step 4 with half the learning rate" in warnings(run)[-1]


def both_stop(run: Run, whole: Run) -> None:
    stopped = run.events()[-1]
    assert isinstance(stopped, events.Finished)
    assert stopped.step == faulty_rank.STOP_AT
    list(train(run, TrainControl(), resume=True))
    assert losses(run) == pytest.approx(losses(whole), rel=0, abs=1e-5)


def workers(agent: int) -> list[int]:
    children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
    return [int(child) for child in children]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found by /proc")
@pytest.mark.slow
def test_a_killed_process_restarts_and_resumes(make_run: Callable[..., Run], tmp_path: Path) -> None:
    alone = make_run("alone", epochs=25)
    list(train(alone, TrainControl()))
    recipe, out = tmp_path / "recipe.toml", Run(tmp_path / "killed")
    alone.recipe.save(recipe)
    command = [*TORCHRUN, "--max-restarts=2", "-m", "studio", "train", str(recipe), "--out", str(out.path)]
    with subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as agent:
        until = time.monotonic() + 60
        while checkpoint.read(out.path / "checkpoints" / "last") is None and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(workers(agent.pid)[-1], signal.SIGKILL)
        said, _ = agent.communicate(timeout=90)
    assert agent.returncode == 0, said.decode()
    started = [event.step for event in out.events() if isinstance(event, events.Started)]
    assert len(started) == 2
    assert started[1] > 0
    assert losses(out) == pytest.approx(losses(alone), rel=0, abs=1e-5)
    assert out.status["state"] == "completed"
