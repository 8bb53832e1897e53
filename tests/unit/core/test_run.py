"""The run directory and its event reader."""

import os
import shutil
from pathlib import Path

import pytest

from studio.core import events
from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Recipe
from studio.core.run import EventTail, Run, list_runs, new_run_path, slug


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(Recipe(), tmp_path / "run")


def step(number: int) -> events.Step:
    return events.Step(step=number, epoch=1, loss=1.0, accuracy=0.5, learning_rate=1e-3, images_per_second=1.0)


def test_a_new_run_holds_its_recipe(run: Run) -> None:
    assert run.recipe == Recipe()
    assert (run.path / "checkpoints").is_dir()
    assert Run.open(run.path).recipe == Recipe()
    assert run.events() == []
    assert run.status == {}


def test_a_second_run_never_overwrites_the_first(run: Run, tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="not empty"):
        Run.create(Recipe(), run.path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StudioError, match="not empty"):
        Run.create(Recipe(), tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert Run.create(Recipe(), tmp_path / "empty").recipe == Recipe()


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StudioError, match=r"Cannot write the run to .*\.$"):
        Run.create(Recipe(), tmp_path / "file" / "run")


def test_a_folder_without_a_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="is not a run"):
        Run.open(tmp_path)


def test_a_status_is_replaced(run: Run) -> None:
    run.write_status(state="training", step=1)
    run.write_status(state="finished")
    assert run.status == {"state": "finished"}


@pytest.mark.parametrize("text", ["", "{", "[", "\xff", "[1, 2]", "null"])
def test_a_broken_status_is_an_empty_one(run: Run, text: str) -> None:
    (run.path / "status.json").write_bytes(text.encode("latin-1"))
    assert run.status == {}


def test_a_follower_sees_each_event_once(run: Run) -> None:
    follower = EventTail(run)
    assert follower.poll() == []
    first, second, third = step(1), step(2), step(3)
    run.append_event(first)
    run.append_event(second)
    assert follower.poll() == [first, second]
    assert follower.poll() == []
    run.append_event(third)
    assert follower.poll() == [third]
    assert run.events() == [first, second, third]


def test_a_half_written_line_waits_for_its_end(run: Run) -> None:
    follower = EventTail(run)
    line = step(1).to_json().encode() + b"\n"
    with (run.path / "events.jsonl").open("ab") as file:
        for byte in (line[:10], line[10:-1]):
            file.write(byte)
            file.flush()
            assert follower.poll() == []
        file.write(line[-1:])
        file.flush()
    assert [event.step for event in follower.poll()] == [1]


def test_a_character_cut_in_two_waits_for_its_end(run: Run) -> None:
    follower = EventTail(run)
    line = events.Warning(text="ä猫").to_json().encode() + b"\n"
    cut = line.index("猫".encode()) + 1
    with (run.path / "events.jsonl").open("ab") as file:
        file.write(line[:cut])
        file.flush()
        assert follower.poll() == []
        file.write(line[cut:])
    assert [event.text for event in follower.poll()] == ["ä猫"]


def test_a_broken_line_is_passed_over(run: Run) -> None:
    run.append_event(step(1))
    with (run.path / "events.jsonl").open("ab") as file:
        file.write(b"{broken\n\n\xff\xff\n")
    run.append_event(step(2))
    assert [event.step for event in run.events()] == [1, 2]


def test_an_event_after_a_killed_write_is_not_lost(run: Run) -> None:
    run.append_event(step(1))
    with (run.path / "events.jsonl").open("ab") as file:
        file.write(step(2).to_json().encode()[:20])
    follower = EventTail(run)
    assert [event.step for event in follower.poll()] == [1]
    run.append_event(step(3))
    run.append_event(step(4))
    assert [event.step for event in follower.poll()] == [3, 4]
    assert [event.step for event in run.events()] == [1, 3, 4]


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    for age, name in enumerate(["new", "middle", "old"]):
        Run.create(Recipe(), tmp_path / name)
        os.utime(tmp_path / name / "recipe.toml", (1e9 - age, 1e9 - age))
    (tmp_path / "no run").mkdir()
    assert [run.path.name for run in list_runs(tmp_path)] == ["new", "middle", "old"]
    assert list_runs(tmp_path / "none") == []


def test_a_fresh_path_does_not_exist_yet(tmp_path: Path) -> None:
    attachments = tuple(Attachment(name=n, method=n, at=("x",), enabled=n != "off") for n in ("lora", "off"))
    recipe = Recipe(attachments=attachments)
    taken = {new_run_path(tmp_path, recipe).name}
    for _ in range(3):
        path = new_run_path(tmp_path, recipe)
        path.mkdir()
        taken.add(path.name)
        assert path.name.split("-starter-")[1].startswith("lora")
        assert "off" not in path.name
    assert len(taken) >= 3
    assert "head" in new_run_path(tmp_path, Recipe()).name


@pytest.mark.parametrize(
    ("text", "name"),
    [("a/b\\c:d", "a-b-c-d"), ("..", "unnamed"), ("", "unnamed"), ("猫", "unnamed"), ("x" * 300, "x" * 100)],
)
def test_a_slug_is_a_safe_file_name(text: str, name: str) -> None:
    assert slug(text) == name


def test_a_run_that_is_removed_meanwhile_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        Run.create(Recipe(), tmp_path / name)
    found = list(tmp_path.glob("*/recipe.toml"))
    shutil.rmtree(tmp_path / "a")
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(found))
    assert [run.path.name for run in list_runs(tmp_path)] == ["b"]
