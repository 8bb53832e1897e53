"""Events: one JSON line each, and a reader that outlives broken lines and newer versions."""

import json
import math

import pytest

from studio.core import events
from studio.core.messages import N_, Message, N_n

EVERY = [
    events.Started(
        step=0,
        steps=10,
        epochs=2,
        training_images=80,
        validation_images=20,
        trainable_parameters=3_000_000_000,
        total_parameters=90_000_000_000,
        device="cpu",
    ),
    events.Step(step=1, epoch=1, loss=0.5, accuracy=0.25, learning_rate=1e-3, images_per_second=12.5),
    events.Epoch(epoch=1, step=5, loss=0.4, accuracy=0.5, seconds=1.5),
    events.Evaluation(epoch=1, step=5, split="validation", loss=0.3, accuracy=0.75, best=True),
    events.Checkpoint(step=5, name="best"),
    events.Warning(text="Zwei Bilder fehlen: ä, 猫"),
    events.Error(text="The disk is full.", code="disk-full"),
    events.Finished(step=10, reason="completed", seconds=3.0, best_accuracy=0.75, best_epoch=1),
]


@pytest.mark.parametrize("event", EVERY, ids=lambda event: event.kind)
def test_an_event_comes_back(event: events.Event) -> None:
    line = event.to_json()
    assert "\n" not in line
    assert json.loads(line)["event"] == event.kind
    assert events.parse_event(line) == event
    assert events.parse_event(line.encode()) == event


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_is_null_and_comes_back_as_nan(value: float) -> None:
    step = events.Step(step=1, epoch=1, loss=value, accuracy=0.0, learning_rate=1e-3, images_per_second=1.0)
    assert json.loads(step.to_json())["loss"] is None
    again = events.parse_event(step.to_json())
    assert isinstance(again, events.Step)
    assert math.isnan(again.loss)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        '{"event": "from the future", "step": 1}',
        '{"step": 1}',
        '{"event": "step"}',
        '{"event": []}',
        b"\xff\xfe",
    ],
)
def test_an_unreadable_line_is_none(line: str | bytes) -> None:
    assert events.parse_event(line) is None


def test_keys_of_a_newer_version_are_left_out() -> None:
    assert events.parse_event('{"event": "warning", "time": 1.0, "text": "x", "new_key": "red"}') == events.Warning(
        time=1.0, text="x"
    )


def test_a_text_can_be_translated_after_it_was_on_disk() -> None:
    device = N_("the GPU {name}", name="cuda:0")
    warning = events.Warning(text=N_n("{n} image on {device}", "{n} images on {device}", 3, device=device))
    again = events.parse_event(warning.to_json())
    assert isinstance(again, events.Warning)
    assert isinstance(again.text, Message)
    assert again == warning
    assert (again.text.template, again.text.plural) == ("{n} image on {device}", "{n} images on {device}")
    assert again.text.values["n"] == 3
    assert again.text.values["device"].template == "the GPU {name}"


@pytest.mark.parametrize("message", [None, 3, {}, {"template": 1}, {"template": "a", "values": 3, "new": 1}])
def test_a_text_survives_a_broken_or_newer_message(message: object) -> None:
    line = json.dumps({"event": "warning", "time": 0.0, "text": "Hello.", "message": message})
    assert events.parse_event(line).text == "Hello."
