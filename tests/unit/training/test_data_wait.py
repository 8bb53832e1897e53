"""Waiting for images is measured, recorded, and a warning if it is long."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from studio.app import training as app
from studio.core import events
from studio.core.control import TrainControl
from studio.core.run import Run
from studio.data.dataset.dataset import ImageDataset
from studio.training import train_state
from studio.training.loop import train
from studio.training.run_io import checkpoint


def _slow(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let each image take so long to come, as from a slow disk."""
    true = ImageDataset.pixels

    def slow(dataset: ImageDataset, index: int) -> Any:
        time.sleep(seconds)
        return true(dataset, index)

    monkeypatch.setattr(ImageDataset, "pixels", slow)
    monkeypatch.setattr("studio.data.loader.os.cpu_count", lambda: 1)


def test_waiting_for_images_is_measured_and_recorded(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    _slow(monkeypatch, 0.02)
    monkeypatch.setattr(train_state, "MIN_EPOCH_SECONDS", 0.0)
    run = make_run()
    happened = list(train(run, TrainControl()))
    steps, epochs, finished = (
        [event for event in happened if isinstance(event, kind)]
        for kind in (events.Step, events.Epoch, events.Finished)
    )
    assert sum(step.waited for step in steps) == pytest.approx(sum(epoch.waited for epoch in epochs))
    assert all(0.1 < epoch.waited <= epoch.seconds for epoch in epochs)
    assert sum(epoch.waited for epoch in epochs) < finished[0].waited < finished[0].seconds
    assert run.status["waited"] == app.read_result(run).waited == finished[0].waited
    said = [event.text for event in happened if isinstance(event, events.Warning) and "waiting" in event.text]
    assert len(said) == 1
    assert said[0].startswith(f"{epochs[1].waited / epochs[1].seconds:.0%} of the epoch was spent waiting for images")


def test_without_waiting_there_is_no_warning(make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_state, "MIN_EPOCH_SECONDS", 0.0)
    monkeypatch.setattr(train_state, "DATA_BOUND_FRACTION", 0.9)
    happened = list(train(make_run(), TrainControl()))
    assert not [event for event in happened if isinstance(event, events.Warning) and "waiting" in event.text]


def test_the_waiting_time_continues_after_a_stop(make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    _slow(monkeypatch, 0.01)
    run, control = make_run(), TrainControl()
    for event in train(run, control):
        if isinstance(event, events.Step) and event.step == 6:
            control.stop()
    stopped = run.status["waited"]
    saved = checkpoint.read(run.path / "checkpoints" / "last")
    assert saved is not None
    assert saved.values["progress"]["total_waited"] == stopped > 0
    list(train(run, TrainControl(), resume=True))
    assert run.status["waited"] > stopped
