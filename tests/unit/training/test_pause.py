"""Pausing, resuming and requesting a checkpoint."""

import threading
import time
from collections.abc import Callable, Iterator

from studio.core import events
from studio.core.control import TrainControl
from studio.core.run import Run
from studio.training.loop import train
from studio.training.run_io import checkpoint


def _outcome(run: Run) -> tuple[list[tuple[int, float]], bytes]:
    losses = sorted({e.step: e.loss for e in run.events() if isinstance(e, events.Step)}.items())
    return losses, (run.path / "adapter.safetensors").read_bytes()


def _paused_at(run: Run, pause: Callable[[events.Event], bool]) -> Iterator[tuple[events.Event, TrainControl]]:
    """Train, pause after the event that ``pause`` picks, and resume when the run waits."""
    control = TrainControl()
    for event in train(run, control):
        if pause(event):
            control.pause()
        yield event, control
        if isinstance(event, events.Paused):
            control.resume()


def test_a_pause_ends_the_step_with_a_checkpoint_and_changes_nothing(make_run: Callable[..., Run]) -> None:
    whole, run = make_run("whole"), make_run("run")
    list(train(whole, TrainControl()))
    happened = [event for event, _ in _paused_at(run, lambda e: isinstance(e, events.Step) and e.step == 6)]
    at = next(i for i, event in enumerate(happened) if isinstance(event, events.Paused))
    assert [event.kind for event in happened[at - 2 : at + 3]] == ["step", "checkpoint", "paused", "resumed", "step"]
    paused = happened[at]
    assert isinstance(paused, events.Paused)
    assert paused.step == 6
    assert happened == run.events()
    assert "Paused at step 6." in (run.path / "log.txt").read_text()
    assert _outcome(run) == _outcome(whole)


def test_a_pause_restarts_an_evaluation(make_run: Callable[..., Run]) -> None:
    whole, run = make_run("whole"), make_run("run")
    list(train(whole, TrainControl()))
    happened = [event for event, _ in _paused_at(run, lambda e: isinstance(e, events.Epoch) and e.epoch == 2)]
    kinds = [event.kind for event in happened]
    at = kinds.index("paused")
    assert kinds[at - 2 : at + 3] == ["epoch", "checkpoint", "paused", "resumed", "evaluation"]
    assert _outcome(run) == _outcome(whole)


def test_a_paused_run_waits_idly_and_can_be_stopped(make_run: Callable[..., Run]) -> None:
    whole, run = make_run("whole"), make_run("run")
    list(train(whole, TrainControl()))
    control = TrainControl()
    control.pause()
    thread = threading.Thread(target=lambda: list(train(run, control)))
    thread.start()
    while run.status.get("state") != "paused":
        assert thread.is_alive()
        time.sleep(0.01)
    assert control.paused
    before, seen = time.process_time(), len(run.events())
    time.sleep(0.5)
    assert time.process_time() - before < 0.1
    assert len(run.events()) == seen
    control.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert [event.kind for event in run.events()][-2:] == ["checkpoint", "finished"]
    assert run.status["state"] == "stopped"
    list(train(run, TrainControl(), resume=True))
    assert _outcome(run) == _outcome(whole)


def test_a_run_that_stops_does_not_wait() -> None:
    control = TrainControl()
    control.stop()
    control.pause()
    assert not control.paused
    control.wait()


def test_a_checkpoint_on_demand_is_written_at_the_end_of_the_step(make_run: Callable[..., Run]) -> None:
    run, control = make_run(), TrainControl()
    happened = []
    for event in train(run, control):
        happened.append(event)
        if isinstance(event, events.Step) and event.step == 2:
            control.request_checkpoint()
        if isinstance(event, events.Step) and event.step == 3:
            break
    kinds = [event.kind for event in happened]
    assert kinds[-3:] == ["step", "checkpoint", "step"]
    saved = checkpoint.read(run.path / "checkpoints" / "last")
    assert saved is not None
    assert saved.values["progress"]["step"] == 2
