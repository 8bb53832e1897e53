"""The training loop: a generator of events that writes the run directory."""

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import torch

from studio.core import events
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.run import Run
from studio.training.distributed.context import DistributedContext
from studio.training.run_io.event_log import EventLogger
from studio.training.run_io.lock import run_lock
from studio.training.run_io.status_writer import StatusWriter
from studio.training.trainer import Trainer


def train(
    run: Run, control: TrainControl, resume: bool = False, distributed: DistributedContext | None = None
) -> Iterator[events.Event]:
    """Train ``run``, and yield each event once it is in ``events.jsonl``.

    With ``resume`` it continues from the last checkpoint, or starts if there is none. Raise StudioError, with nothing
    written, if the recipe cannot be trained, another process trains the run or it is complete. A failure of the
    training itself is raised after an error event, with the best adapter saved.
    """
    distributed = distributed or DistributedContext()
    with ExitStack() as stack:
        distributed.broadcast_from_main(lambda: _acquire_run(run, resume, stack))
        trainer = stack.enter_context(Trainer.prepare(run, resume, distributed))
        record = stack.enter_context(_event_recorder(trainer))
        try:
            yield from map(record, _run_training(trainer, distributed.sync_control(control)))
        except Exception as error:  # of any kind: the run says why it ended
            failure = _user_error(error)
            with suppress(OSError):  # a full disk has no space for the event either
                yield record(_error_event(failure))
            raise failure from error


def _run_training(trainer: Trainer, control: TrainControl) -> Iterator[events.Event]:
    """Run all epochs that are left."""
    yield from trainer.start()
    if trainer.train_state.step == 0:
        yield from _run_evaluation(trainer, control, epoch=0)
        if not control.stopping:
            yield trainer.save("epoch")
    while not trainer.complete and not control.stopping:
        yield from _run_epoch(trainer, control)
    if not trainer.complete:
        yield trainer.save("last")
    yield from trainer.early_stop_warning()
    yield from trainer.usage_events()
    yield trainer.train_state.finished_event("completed" if trainer.complete else "stopped")


def _run_epoch(trainer: Trainer, control: TrainControl) -> Iterator[events.Event]:
    """Run the rest of an epoch and its evaluation.

    After a stop or a roll back it returns early, with the trainer in a state to continue from.
    """
    for batch in trainer.batches():
        yield from trainer.step(batch)
        if trainer.train_state.diverging:
            yield from trainer.roll_back()
            return
        if control.pop_checkpoint_request() or trainer.checkpoint_due:
            yield trainer.save("last")
        yield from _wait_while_paused(trainer, control)
        if control.stopping:
            return
    yield trainer.epoch_event()
    yield from _run_evaluation(trainer, control, trainer.train_state.epoch + 1)
    if not control.stopping:
        trainer.train_state.next_epoch()
        # In this order: killed between the two, the run reaches this point again before it can roll back.
        yield trainer.save("epoch")
        yield trainer.save("last")


def _run_evaluation(trainer: Trainer, control: TrainControl, epoch: int) -> Iterator[events.Event]:
    """Evaluate; after a pause the evaluation starts again."""
    while not (yield from trainer.evaluate(control, epoch)) and not control.stopping:
        yield from _wait_while_paused(trainer, control)


def _wait_while_paused(trainer: Trainer, control: TrainControl) -> Iterator[events.Event]:
    """If a pause is requested, save a checkpoint and wait for its end or a stop."""
    if not control.paused:
        return
    yield trainer.save("last")
    yield events.Paused(step=trainer.train_state.step)
    control.wait()
    trainer.reset_timers()
    if not control.stopping:
        yield events.Resumed(step=trainer.train_state.step)


def _acquire_run(run: Run, resume: bool, stack: ExitStack) -> None:
    """Lock the run; raise StudioError if it has started and is not resumed."""
    stack.enter_context(run_lock(run.path))
    if not resume and not all(isinstance(event, events.ResourceEstimate) for event in run.events()):
        raise StudioError(
            "already-started",
            "The run {path} has already started. Resume it, or train the recipe as a new run.",
            path=str(run.path),
        )


@contextmanager
def _event_recorder(trainer: Trainer) -> Iterator[Callable[[events.Event], events.Event]]:
    """Yield a function that writes (in the main process) and returns an event."""
    if not trainer.distributed.is_main_process:
        yield lambda event: event
        return
    with EventLogger(trainer.run.path) as event_log:
        status = StatusWriter(trainer.run, trainer.recipe.training.epochs)

        def record(event: events.Event) -> events.Event:
            status.update(event_log.write(event))
            return event

        yield record


def _error_event(failure: Exception) -> events.Error:
    if isinstance(failure, StudioError):
        return events.Error(text=failure.message, code=failure.code)
    return events.Error(text=str(failure))


def _user_error(error: Exception) -> Exception:
    """Return a StudioError for what can happen to any user; another error as it is."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return StudioError("out-of-memory", "Out of memory. Reduce the batch size and try again.")
    if isinstance(error, FileNotFoundError):
        return StudioError(
            "run-moved", "The run failed: its folder or a file in it was moved or deleted. Train the recipe again."
        )
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", None)):
            return StudioError(
                "disk-full",
                "The run cannot be written: {reason}. Free some disk space and resume it.",
                reason=reason,
            )
        return StudioError(
            "cannot-write", "The run cannot be written: {reason}. Check its folder and resume it.", reason=reason
        )
    return error
