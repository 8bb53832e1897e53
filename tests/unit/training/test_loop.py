"""A complete run: its events, its directory, stopping, resuming and failures."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from studio.core import events
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.run import Run
from studio.evaluation import evaluate
from studio.training import loss as objective
from studio.training.loop import train
from studio.training.run_io import checkpoint, event_log

STEPS = 12  # 18 training images in batches of 5, for 3 epochs


def _of(happened: list[events.Event], kind: type[events.Event]) -> list[Any]:
    return [event for event in happened if type(event) is kind]


def _losses(run: Run) -> list[tuple[int, float]]:
    """Return the loss of every step; of a repeated step the later one."""
    return sorted({event.step: event.loss for event in _of(run.events(), events.Step)}.items())


def _adapter(run: Run, which: str = "last") -> dict[str, torch.Tensor]:
    saved = checkpoint.read(run.path / "checkpoints" / which)
    assert saved is not None
    return saved.tensors


def _equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _same_outcome(first: Run, second: Run) -> bool:
    ours = [(e.epoch, e.loss, e.accuracy) for e in _of(first.events(), events.Evaluation)]
    theirs = [(e.epoch, e.loss, e.accuracy) for e in _of(second.events(), events.Evaluation)]
    return (
        _losses(first) == _losses(second)
        and set(ours) == set(theirs)
        and _equal(_adapter(first), _adapter(second))
        and (first.path / "adapter.safetensors").read_bytes() == (second.path / "adapter.safetensors").read_bytes()
    )


def _stop_at(run: Run, step: int, resume: bool = False) -> list[events.Event]:
    control = TrainControl()
    happened = []
    for event in train(run, control, resume):
        happened.append(event)
        if isinstance(event, events.Step) and event.step == step:
            control.stop()
    return happened


def test_the_events_of_a_run(make_run: Callable[..., Run]) -> None:
    run = make_run()
    happened = []
    for event in train(run, TrainControl()):
        happened.append(event)
        assert run.events()[-1] == event
    assert run.events() == happened
    kinds = [event.kind for event in happened if event.kind not in ("checkpoint", "movement")]
    assert kinds == [
        "started",
        "warning",
        "evaluation",
        *(["step"] * 4 + ["epoch", "evaluation"]) * 3,
        "usage",
        "finished",
    ]
    started, finished = happened[0], happened[-1]
    assert isinstance(started, events.Started)
    assert isinstance(finished, events.Finished)
    assert (started.step, started.steps, started.training_images, started.validation_images) == (0, STEPS, 18, 6)
    assert 0 < started.trainable_parameters < started.total_parameters
    assert (finished.step, finished.reason) == (STEPS, "completed")
    assert finished.best_accuracy == max(event.accuracy for event in _of(happened, events.Evaluation)) == 1.0


def test_the_files_of_a_complete_run(make_run: Callable[..., Run]) -> None:
    run = make_run()
    happened = list(train(run, TrainControl()))
    evaluations = _of(happened, events.Evaluation)
    assert run.labels == ["a", "b", "c"]
    assert run.status["state"] == "completed"
    assert (run.status["step"], run.status["steps"], run.status["epoch"], run.status["epochs"]) == (12, 12, 3, 3)
    assert run.status["best_accuracy"] == happened[-1].best_accuracy
    assert run.status["accuracy"] == evaluations[-1].accuracy
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0]
    assert environment["threads"] == torch.get_num_threads()
    best = {
        name.removeprefix("adapter/"): t for name, t in _adapter(run, "best").items() if name.startswith("adapter/")
    }
    assert _equal(load_file(run.path / "adapter.safetensors"), best)
    assert "After epoch 3" in (run.path / "log.txt").read_text()
    assert not list(run.path.rglob("*.tmp"))


@pytest.mark.parametrize("step", [1, 3, 4, 6, 11])
@pytest.mark.parametrize("values", [{}, {"augmentation": "light"}, {"mixup": 0.4, "cutmix": 1.0}])
@pytest.mark.slow
def test_a_stopped_run_resumes_bit_for_bit(make_run: Callable[..., Run], step: int, values: dict[str, Any]) -> None:
    whole = make_run("whole", **values)
    list(train(whole, TrainControl()))
    parts = make_run("parts", **values)
    happened = _stop_at(parts, step)
    assert isinstance(happened[-1], events.Finished)
    assert (happened[-1].step, happened[-1].reason) == (step, "stopped")
    assert parts.status["state"] == "stopped"
    torch.manual_seed(99)
    resumed = list(train(parts, TrainControl(), resume=True))
    assert _of(resumed, events.Started)[0].step == step
    assert _same_outcome(whole, parts)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.slow
def test_two_stops_with_either_optimizer(make_run: Callable[..., Run], optimizer: str) -> None:
    whole, parts = make_run("whole", optimizer=optimizer), make_run("parts", optimizer=optimizer)
    list(train(whole, TrainControl()))
    _stop_at(parts, 2)
    _stop_at(parts, 9, resume=True)
    list(train(parts, TrainControl(), resume=True))
    assert _same_outcome(whole, parts)


@pytest.mark.parametrize("count", [1, 2, 5, 9, 13, 20])
@pytest.mark.slow
def test_a_run_that_was_closed_resumes(make_run: Callable[..., Run], count: int) -> None:
    whole, parts = make_run("whole"), make_run("parts")
    list(train(whole, TrainControl()))
    training = train(parts, TrainControl())
    for _ in range(count):
        next(training)
    training.close()  # type: ignore[attr-defined]
    list(train(parts, TrainControl(), resume=True))
    assert _same_outcome(whole, parts)


def test_asked_to_stop_during_an_evaluation(make_run: Callable[..., Run]) -> None:
    whole, parts = make_run("whole"), make_run("parts")
    list(train(whole, TrainControl()))
    control = TrainControl()
    for event in train(parts, control):
        if isinstance(event, events.Epoch) and event.epoch == 2:
            control.stop()
    assert parts.events()[-1].kind == "finished"
    assert max(event.epoch for event in _of(parts.events(), events.Evaluation)) == 1
    list(train(parts, TrainControl(), resume=True))
    assert _same_outcome(whole, parts)


def test_asked_to_stop_before_anything(make_run: Callable[..., Run]) -> None:
    whole, parts = make_run("whole"), make_run("parts")
    list(train(whole, TrainControl()))
    control = TrainControl()
    control.stop()
    assert [event.kind for event in train(parts, control)] == ["started", "warning", "checkpoint", "finished"]
    list(train(parts, TrainControl(), resume=True))
    assert _same_outcome(whole, parts)


_TEMPLATE = """
import os
import sys
from pathlib import Path
from studio.core.run import Run
from studio.peft.contract import METHODS
from studio.core.control import TrainControl
from studio.training.loop import train
list(METHODS)
for line in sys.stdin:
    child = os.fork()
    if not child:
        control = TrainControl()
        for event in train(Run.open(Path(line.strip())), control, resume=True):
            if event.kind == "step" and event.step % 3 == 1:
                control.request_checkpoint()
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""A process that has imported everything and makes a copy of itself for each run, which begins at once."""


def _kill_after(template: subprocess.Popen[str], run: Run, count: int, delay: float) -> None:
    """Train in another process and kill it ``delay`` seconds after its next ``count`` events."""
    assert template.stdin is not None
    assert template.stdout is not None
    seen = len(run.events())
    print(run.path, file=template.stdin, flush=True)
    process = int(template.stdout.readline())
    deadline = time.monotonic() + 60
    while len(run.events()) < seen + count:
        assert time.monotonic() < deadline, "the other process makes no progress"
        time.sleep(0.005)
    time.sleep(delay)
    os.kill(process, signal.SIGKILL)
    assert int(template.stdout.readline()) == signal.SIGKILL


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.slow
def test_a_killed_process_loses_nothing(make_run: Callable[..., Run]) -> None:
    """At random moments, inside an epoch as a rule, with shuffled, augmented and mixed images; STUDIO_KILLS as many."""
    points, kills = random.Random(0), int(os.environ.get("STUDIO_KILLS", "6"))
    values = {"batch_size": 3, "augmentation": "light", "mixup": 0.4, "cutmix": 1.0, "ema": 0.9}
    values |= {"epochs": 4 + 3 * kills}
    whole, killed = make_run("whole", **values), make_run("killed", **values)
    list(train(whole, TrainControl()))
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-c", _TEMPLATE]
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as template:
        for _ in range(kills):
            _kill_after(template, killed, points.randint(2, 12), points.uniform(0, 0.03))
    list(train(killed, TrainControl(), resume=True))
    starts = [event.step for event in _of(killed.events(), events.Started)]
    assert len(starts) == kills + 1
    assert starts == sorted(starts)
    assert any(step % 6 for step in starts)
    assert _same_outcome(whole, killed)


def test_a_complete_run_is_refused_and_can_get_more_epochs(make_run: Callable[..., Run]) -> None:
    run = make_run(schedule="constant", warmup=0.0)
    list(train(run, TrainControl()))
    before = sorted(path.name for path in run.path.rglob("*"))
    with pytest.raises(StudioError, match="complete with 3 epochs") as refused:
        list(train(run, TrainControl(), resume=True))
    assert refused.value.code == "run-complete"
    assert sorted(path.name for path in run.path.rglob("*")) == before
    longer = run.recipe.model_copy(update={"training": run.recipe.training.model_copy(update={"epochs": 4})})
    longer.save(run.path / "recipe.toml")
    happened = list(train(run, TrainControl(), resume=True))
    assert [event.step for event in _of(happened, events.Step)] == [13, 14, 15, 16]


def test_a_run_is_not_starts_twice(make_run: Callable[..., Run]) -> None:
    run = make_run()
    _stop_at(run, 1)
    with pytest.raises(StudioError, match="has already started"):
        list(train(run, TrainControl()))


def test_a_second_writer_is_refused(make_run: Callable[..., Run]) -> None:
    run = make_run()
    first = train(run, TrainControl())
    next(first)
    with pytest.raises(StudioError, match="is already being trained"):
        next(iter(train(run, TrainControl(), resume=True)))
    rest = list(first)
    assert rest[-1].kind == "finished"


def test_a_damaged_checkpoint_is_noticed_and_the_one_before_used(make_run: Callable[..., Run]) -> None:
    whole, parts = make_run("whole"), make_run("parts")
    list(train(whole, TrainControl()))
    _stop_at(parts, 10)
    newest = max((parts.path / "checkpoints" / "last").glob("*.safetensors"))
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    resumed = list(train(parts, TrainControl(), resume=True))
    assert _of(resumed, events.Started)[0].step == 8
    assert "The last checkpoint is damaged. The run resumes" in _of(resumed, events.Warning)[0].text
    assert _same_outcome(whole, parts)


def _broken_losses(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """Let the loss of the given steps be no number."""
    true, count = objective.cross_entropy, iter(range(1, 1000))

    def broken(*args: Any, **kwargs: Any) -> torch.Tensor:
        loss = true(*args, **kwargs)
        return loss * float("nan") if next(count) in steps else loss

    monkeypatch.setattr(objective, "cross_entropy", broken)


def test_a_step_without_a_finite_loss_is_skipped(make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    _broken_losses(monkeypatch, {2, 3, 5, 6})
    run = make_run()
    happened = list(train(run, TrainControl()))
    assert [warning.text for warning in _of(happened, events.Warning)[1:]] == [
        f"The loss of step {step} is not finite. The step was skipped." for step in (2, 3, 5, 6)
    ]
    assert [event.step for event in _of(happened, events.Step) if event.loss != event.loss] == [2, 3, 5, 6]
    assert all(epoch.loss == epoch.loss for epoch in _of(happened, events.Epoch))
    assert all(torch.isfinite(tensor).all() for tensor in _adapter(run).values())
    assert happened[-1].kind == "finished"


def _rates(happened: list[events.Event]) -> list[tuple[int, float]]:
    return [(event.step, event.learning_rate) for event in _of(happened, events.Step)]


@pytest.mark.parametrize(("broken", "back_to"), [({10, 11, 12}, 8), ({2, 3, 4}, 0)])
def test_three_skipped_steps_roll_back_to_the_start_of_the_epoch_at_half_the_rate(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, broken: set[int], back_to: int
) -> None:
    _broken_losses(monkeypatch, broken)
    run = make_run(schedule="constant", warmup=0.0)
    happened = list(train(run, TrainControl()))
    last = max(broken)
    slower = [(step, 0.005) for step in range(back_to + 1, STEPS + 1)]
    assert _rates(happened) == [(step, 0.01) for step in range(1, last + 1)] + slower
    assert f"returns to step {back_to} with half the learning rate" in _of(happened, events.Warning)[-1].text
    assert all(loss == loss for _, loss in _losses(run))
    assert happened[-1].kind == "finished"


@pytest.mark.parametrize("step", [2, 10, 11])
def test_a_run_that_rolled_back_resumes_bit_for_bit(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    whole, parts = make_run("whole"), make_run("parts")
    with monkeypatch.context() as patched:
        _broken_losses(patched, {9, 10, 11})
        list(train(whole, TrainControl()))
    with monkeypatch.context() as patched:
        _broken_losses(patched, {9, 10, 11})
        _stop_at(parts, step)
        list(train(parts, TrainControl(), resume=True))
    assert _same_outcome(whole, parts)


def test_a_run_that_keeps_diverging_fails_with_its_best_adapter_saved(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    _broken_losses(monkeypatch, set(range(8, 100)))
    run = make_run()
    happened: list[events.Event] = []
    with pytest.raises(StudioError, match="not finite in three steps in a row, also at lower learning rates"):
        happened.extend(train(run, TrainControl()))
    assert [event.step for event in _of(happened, events.Step)] == [*range(1, 11), *[9, 10, 11] * 3]
    assert happened[-1].kind == "error"
    assert happened[-1] == run.events()[-1]
    assert run.status["state"] == "failed"
    assert (run.status["code"], run.status["text"]) == ("diverged", happened[-1].text)
    assert (run.path / "adapter.safetensors").exists()


def _small_memory(monkeypatch: pytest.MonkeyPatch, images: int) -> None:
    """Let the memory be enough for ``images`` at once."""
    true = objective.cross_entropy

    def narrow(logits: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if len(logits) > images:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return true(logits, *args, **kwargs)

    monkeypatch.setattr(objective, "cross_entropy", narrow)


def test_batches_are_split_into_microbatches_after_out_of_memory(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, found, parts = make_run("asked", accumulation=4), make_run("found"), make_run("parts")
    list(train(asked, TrainControl()))
    _small_memory(monkeypatch, 2)
    happened = list(train(found, TrainControl()))
    assert [warning.text for warning in _of(happened, events.Warning)[1:]] == [
        "Out of memory at 5 images. Each batch of 5 is now split into 2 micro-batches.",
        "Out of memory at 3 images. Each batch of 5 is now split into 4 micro-batches.",
    ]
    assert _losses(found) == _losses(asked)
    assert _equal(_adapter(found), _adapter(asked))
    _stop_at(parts, 6)
    assert not _of(list(train(parts, TrainControl(), resume=True)), events.Warning)
    assert _same_outcome(found, parts)


def test_out_of_memory_at_one_image_is_an_error_for_the_user(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    _small_memory(monkeypatch, 0)
    with pytest.raises(StudioError, match="Reduce the batch size") as failed:
        list(train(make_run(), TrainControl()))
    assert failed.value.code == "out-of-memory"


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_a_batch_in_parts_makes_the_same_step(make_run: Callable[..., Run], mixup: float) -> None:
    whole, parts = (make_run(f"in {n}", lora=False, mixup=mixup, accumulation=n) for n in (1, 3))
    for run in (whole, parts):
        list(train(run, TrainControl()))
    assert [loss for _, loss in _losses(parts)] == pytest.approx([loss for _, loss in _losses(whole)], abs=1e-5)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.slow
def test_a_full_or_read_only_disk_is_an_error_and_loses_nothing(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    whole, parts = make_run("whole"), make_run("parts")
    list(train(whole, TrainControl()))

    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    training = train(parts, TrainControl())
    for event in training:
        if isinstance(event, events.Epoch) and event.epoch == 2:
            break
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "write_bytes", full)
        with pytest.raises(StudioError, match=rf"cannot be written: {os.strerror(number)}") as failed:
            list(training)
    assert failed.value.code == ("disk-full" if number == errno.ENOSPC else "cannot-write")
    assert _of(parts.events(), events.Error)[-1].code == failed.value.code
    assert parts.status["state"] == "failed"
    list(train(parts, TrainControl(), resume=True))
    assert _same_outcome(whole, parts)


@pytest.mark.skipif(os.name == "nt", reason="file sizes cannot be limited")
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
@pytest.mark.slow
def test_a_checkpoint_that_the_system_cuts_short_loses_nothing(make_run: Callable[..., Run], share: float) -> None:
    """The system itself refuses to write more, in the middle of a file."""
    import resource

    whole, parts = make_run("whole"), make_run("parts")
    list(train(whole, TrainControl()))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    training = train(parts, TrainControl())
    for event in training:
        if isinstance(event, events.Step) and event.step == 10:
            break
    size = max(path.stat().st_size for path in (parts.path / "checkpoints" / "last").glob("*.safetensors"))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size * share), limits[1]))
        with pytest.raises(StudioError, match="cannot be written: "):
            list(training)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    list(train(parts, TrainControl(), resume=True))
    assert _same_outcome(whole, parts)


def test_a_disk_too_full_for_events_is_an_error_for_the_user(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = make_run("whole"), make_run("parts")
    list(train(whole, TrainControl()))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    training = train(parts, TrainControl())
    for event in training:
        if isinstance(event, events.Step) and event.step == 6:
            break
    with monkeypatch.context() as patched:
        patched.setattr(event_log, "_append_line", full)
        with pytest.raises(StudioError, match="cannot be written: No space"):
            list(training)
    list(train(parts, TrainControl(), resume=True))
    assert _same_outcome(whole, parts)


def test_images_that_break_during_the_run_are_named_and_left_out(make_run: Callable[..., Run]) -> None:
    run = make_run()
    broken = [run.path.parent / "images" / name for name in ("a/000.png", "b/003.png", "c/005.png", "c/006.png")]
    training = train(run, TrainControl())
    next(training)
    for path in broken[:2]:
        path.write_bytes(b"")
    for path in broken[2:]:
        path.unlink()
    happened = list(training)
    warnings = [warning.text for warning in _of(happened, events.Warning) if "cannot be read" in warning.text]
    assert len(warnings) == 4
    assert all(any(str(path) in text for text in warnings) for path in broken)
    assert [text.rpartition("(")[2] for text in warnings] == [f"{number} so far)." for number in range(1, 5)]
    assert happened[-1].kind == "finished"


def test_images_added_later_do_not_change_the_run(
    make_run: Callable[..., Run], make_images: Callable[..., Path]
) -> None:
    whole, parts = make_run("whole"), make_run("parts")
    list(train(whole, TrainControl()))
    _stop_at(parts, 5)
    make_images("images/a", 12)
    make_images("images/new", 5)
    list(train(parts, TrainControl(), resume=True))
    assert _same_outcome(whole, parts)


def test_an_untrainable_recipe_is_refused_with_nothing_written(make_run: Callable[..., Run]) -> None:
    run = make_run(head=False, lora=False)
    with pytest.raises(StudioError, match="Nothing is trainable"):
        list(train(run, TrainControl()))
    assert sorted(p.name for p in run.path.iterdir() if p.name != ".lock") == ["checkpoints", "recipe.toml"]
    with pytest.raises(StudioError, match="This machine has no cuda:63"):
        list(train(make_run("other", device="cuda:63"), TrainControl()))


def test_the_head_alone_and_the_attachments_alone(make_run: Callable[..., Run]) -> None:
    for name, values in (("head", {"lora": False}), ("lora", {"head": False})):
        run = make_run(name, **values)
        list(train(run, TrainControl()))
        trained = load_file(run.path / "adapter.safetensors")
        assert {key.split("/")[0] for key in trained} == {name}


def test_the_same_seed_gives_the_same_run_and_another_another(make_run: Callable[..., Run]) -> None:
    runs = [make_run("first", seed=1), make_run("second", seed=1), make_run("third", seed=2)]
    for run in runs:
        list(train(run, TrainControl()))
    assert _same_outcome(runs[0], runs[1])
    assert not _same_outcome(runs[0], runs[2])


def test_a_run_stops_early_if_nothing_improves(make_run: Callable[..., Run]) -> None:
    whole, parts = (make_run(name, epochs=9, patience=2, learning_rate=1e-12) for name in ("whole", "parts"))
    happened = list(train(whole, TrainControl()))
    evaluations = _of(happened, events.Evaluation)
    best = max(evaluation.epoch for evaluation in evaluations if evaluation.best)
    assert evaluations[-1].epoch == best + 2 < 9
    assert isinstance(happened[-1], events.Finished)
    assert happened[-1].reason == "completed"
    assert _of(happened, events.Warning)[-1].text == (
        f"Early stopping after {best + 2} of 9 epochs: no epoch after {best} was better."
        if best
        else "Early stopping after 2 of 9 epochs: no epoch was better than the untrained adapter."
    )
    _stop_at(parts, 4 * (best + 1) + 1)
    list(train(parts, TrainControl(), resume=True))
    assert _same_outcome(whole, parts)
    with pytest.raises(StudioError, match=f"complete: no epoch after {best} was better"):
        list(train(whole, TrainControl(), resume=True))


def test_the_ema_is_evaluated_and_saved(make_run: Callable[..., Run]) -> None:
    plain, run = make_run("plain"), make_run(ema=0.9)
    list(train(plain, TrainControl()))
    happened = list(train(run, TrainControl()))
    assert _losses(run) == _losses(plain)
    saved = checkpoint.read(run.path / "checkpoints" / "last")
    assert saved is not None
    before = checkpoint.read(plain.path / "checkpoints" / "last")
    assert before is not None
    assert _equal(saved.section("trained"), before.section("adapter"))
    assert not _equal(saved.section("trained"), saved.section("adapter"))
    best = next(event for event in reversed(_of(happened, events.Evaluation)) if event.best)
    assert evaluate(run).loss == pytest.approx(best.loss, rel=1e-6)


def test_every_setting_together_resumes_bit_for_bit(make_run: Callable[..., Run]) -> None:
    values: dict[str, Any] = {"schedule": "one-cycle", "warmup": 0.3, "class_weights": "balanced", "best_by": "loss"}
    values |= {"augmentation": "strong", "mixup": 0.3, "cutmix": 0.8}
    more: dict[str, Any] = {"layer_decay": 0.7, "accumulation": 2, "patience": 5, "label_smoothing": 0.1, "ema": 0.9}
    whole, parts = (make_run(name, **values, **more) for name in ("whole", "parts"))
    list(train(whole, TrainControl()))
    _stop_at(parts, 6)
    list(train(parts, TrainControl(), resume=True))
    assert _same_outcome(whole, parts)


def test_bfloat16_trains_and_resumes_in_bfloat16(make_run: Callable[..., Run]) -> None:
    whole, parts, exact = make_run("w", precision="bfloat16"), make_run("p", precision="bfloat16"), make_run("e")
    for run in (whole, exact):
        list(train(run, TrainControl()))
    _stop_at(parts, 5)
    list(train(parts, TrainControl(), resume=True))
    assert _same_outcome(whole, parts)
    assert _losses(whole) != _losses(exact)
    assert _losses(whole)[-1][1] == pytest.approx(_losses(exact)[-1][1], abs=0.1)
