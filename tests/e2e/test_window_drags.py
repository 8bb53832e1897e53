"""Dragging with a real mouse: palette to layer, block, selection and root, Ctrl, badges; and the same without one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]
NEEDED = ("Xvfb", "xdotool")
MISSING = [name for name in NEEDED if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} missing: no screen to drag on")


@contextmanager
def screen() -> Iterator[str]:
    """A screen that nobody sees, under a number of its own."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x900x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        os.close(write)
        with os.fdopen(read) as answer:
            number = answer.readline().strip()
        yield f":{number}"
        server.terminate()


def drag(home: Path) -> str:
    """Make each gesture in one window; return the recipes after them as JSON."""
    with screen() as display:
        done = subprocess.run(
            [sys.executable, "-m", "tests.e2e.drags"],
            cwd=ROOT,
            env=os.environ | {"DISPLAY": display, "PEFT_STUDIO_HOME": str(home), "QT_QPA_PLATFORM": "xcb"},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def told(tmp_path_factory, worker_id):
    """The recipe after each gesture; all workers share one window, which takes half a minute."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    answers = shared / "drags.json"
    with FileLock(shared / "drags.lock"):
        if not answers.exists():
            answers.write_text(drag(tmp_path_factory.mktemp("home")))
    return json.loads(answers.read_text())


def attached(state):
    return [(a["name"], a["at"], a["slices"]) for a in state["attachments"]]


QV = ["q", "v"]
FIRST = ("lora", ["blocks.0.attn.qkv"], QV)
LEFT = {
    "to_a_layer": [FIRST],
    "to_a_block": [("lora", ["blocks.1.attn.qkv"], QV)],
    "to_the_root": [("lora", ["blocks.*.attn.qkv"], QV)],
    "to_a_selection": [("lora", ["blocks.{1..2}.attn.qkv", "blocks.4.attn.qkv"], QV)],
    "with_ctrl_to_all_of_the_kind": [("lora", ["blocks.*.attn.proj"], [])],
    "to_a_row_that_refuses": [],
    "a_preset_to_the_root": [("full", ["blocks.{2..5}"], [])],
    "a_badge_to_another_layer": [FIRST, ("lora-2", ["blocks.0.mlp.fc1", "blocks.0.mlp.fc2"], [])],
    "a_badge_with_shift_moves": [("lora", ["blocks.1.attn.qkv"], QV)],
    "a_badge_out_of_the_tree": [],
    "one_badge_of_many_out_of_the_tree": [("lora", ["blocks.{1..5}.attn.qkv"], QV)],
    "a_badge_to_a_row_that_refuses": [FIRST],
    "by_enter": [FIRST],
    "by_ctrl_shift_enter": [("lora", ["blocks.*.attn.proj"], [])],
    "by_double_click": [("lora", ["blocks.1.attn.qkv"], QV)],
    "by_copy_and_paste": [FIRST, ("lora-2", ["blocks.1.attn.qkv"], QV)],
    "by_cut_and_paste": [("lora", ["blocks.1.attn.qkv"], QV)],
    "by_delete": [],
    "by_menu": [FIRST],
    "a_double_click_on_a_badge_goes_to_its_settings": [FIRST],
}


@pytest.mark.parametrize("gesture", LEFT)
def test_each_gesture_leaves_what_it_says(told, gesture):
    assert attached(told[gesture]) == LEFT[gesture]


def test_each_gesture_is_one_step_of_the_history(told):
    assert told["to_a_selection"]["steps"] == told["with_ctrl_to_all_of_the_kind"]["steps"] == 1
    assert told["a_preset_to_the_root"]["steps"] == 1
    assert told["a_badge_with_shift_moves"]["steps"] == 2
    assert told["to_a_row_that_refuses"]["steps"] == 0


def test_while_dragging_rows_that_cannot_take_it_dim_and_the_count_shows_before_release(told):
    assert told["to_a_layer"]["dimmed"] == "norm1"
    assert told["to_a_layer"]["kept"] is True
    assert told["to_a_layer"]["hint"].endswith("+3,072 parameters")


def test_a_row_that_refuses_says_why(told):
    assert told["to_a_row_that_refuses"]["hint"].startswith("LoRA needs a plain linear")


def test_a_double_click_on_a_badge_leads_to_the_first_field(told):
    assert told["a_double_click_on_a_badge_goes_to_its_settings"]["focus"] == "Rank"
