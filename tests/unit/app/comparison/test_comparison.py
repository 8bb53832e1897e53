"""Comparison of runs, read from their directories."""

from pathlib import Path

from studio.app.comparison.comparison import compare, recipe_differences
from studio.cli.comparison_text import comparison_parts
from studio.cli.tables import plain_text
from studio.core import events
from studio.core.recipe import Attachment, Recipe
from studio.core.run import Run

LORA = Attachment(name="a", method="lora", at=("blocks.*.attn.qkv",), slices=("q",), config={"rank": 4})


def recipe(rank: int = 4, **training: object) -> Recipe:
    attachment = LORA.model_copy(update={"config": {"rank": rank}})
    return Recipe.from_mapping({"attachments": [attachment.model_dump()], "training": training})


def made(path: Path, what: Recipe, *happened: events.Event) -> Run:
    run = Run.create(what, path)
    for event in happened:
        run.append_event(event)
    return run


def started() -> events.Started:
    counts = {"training_images": 8, "validation_images": 2, "trainable_parameters": 100, "total_parameters": 1000}
    return events.Started(step=0, steps=4, epochs=2, device="cpu", **counts)


def evaluation(epoch: int, accuracy: float, best: bool) -> events.Evaluation:
    return events.Evaluation(
        epoch=epoch, step=epoch, split="validation", loss=1 - accuracy, accuracy=accuracy, best=best
    )


def test_finished_and_unfinished_runs_show_their_best_accuracy(tmp_path: Path) -> None:
    end = events.Finished(step=4, reason="completed", seconds=61.0, best_accuracy=0.75, best_epoch=1)
    one = made(tmp_path / "one", recipe(), started(), evaluation(1, 0.75, True), evaluation(2, 0.5, False), end)
    two = made(tmp_path / "two", recipe(rank=8, epochs=3), started(), evaluation(1, 0.25, True))
    three = made(tmp_path / "three", recipe())
    found = compare([one, two, three])

    assert [row.state for row in found.runs] == ["completed", "unfinished", "not started"]
    assert [row.accuracy for row in found.runs] == [0.75, 0.25, None]
    assert found.runs[0].best_epoch == 1
    assert found.runs[0].attachments == "lora@blocks.*.attn.qkv:q,rank=4"
    changed = {difference.key: difference.values for difference in found.differences}
    assert changed == {"attachments.a.config.rank": (4, 8, 4), "training.epochs": (10, 3, 10)}
    text = plain_text(*comparison_parts(found))
    assert "75.0%" in text
    assert "1 min 1 s" in text
    assert "training.epochs" in text


def test_a_resumed_run_is_not_stopped(tmp_path: Path) -> None:
    stop = events.Finished(step=2, reason="stopped", seconds=1.0, best_accuracy=0.0, best_epoch=0)
    run = made(tmp_path / "run", recipe(), started(), stop)
    assert compare([run]).runs[0].state == "stopped"
    run.append_event(started())
    assert compare([run]).runs[0].state == "unfinished"
    run.append_event(events.Error(text="The disk is full."))
    assert compare([run]).runs[0].state == "failed"


def test_an_attachment_that_only_one_recipe_has_is_a_difference() -> None:
    found = {d.key: d.values for d in recipe_differences([recipe(), Recipe()])}
    assert found["attachments.a.method"] == ("lora", None)


def test_equal_recipes_have_no_differences() -> None:
    assert recipe_differences([recipe(), recipe()]) == []
