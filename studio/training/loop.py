"""The training loop: a generator of events that writes the run directory. It knows neither window nor command line."""

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
    """Train ``run``, yielding each event once it is in ``events.jsonl``.

    With ``resume`` it goes on from the last checkpoint, or from the beginning where there is none yet.
    Raises StudioError, with nothing written, where the recipe cannot be trained, another process trains the run, or it
    is complete; and where the training itself fails, after an error event and with the best adapter kept.
    """
    distributed = distributed or DistributedContext()
    with ExitStack() as stack:
        distributed.broadcast_from_main(lambda: _acquire_run(run, resume, stack))
        session = stack.enter_context(Trainer.prepare(run, resume, distributed))
        record = stack.enter_context(_event_recorder(session))
        try:
            yield from map(record, _run_training(session, distributed.sync_control(control)))
        except Exception as error:  # whatever it is, the run says so before it ends
            failure = _user_error(error)
            with suppress(OSError):  # where the disk is full, there is no room for this either
                yield record(events.Error(text=str(failure)))
            raise failure from error


def _acquire_run(run: Run, resume: bool, stack: ExitStack) -> None:
    """Become the only writer of a run."""
    stack.enter_context(run_lock(run.path))
    _require_new(run, resume)


@contextmanager
def _event_recorder(trainer: Trainer) -> Iterator[Callable[[events.Event], events.Event]]:
    """A function that writes an event down and returns it; of several processes the first alone writes."""
    if not trainer.distributed.is_main_process:
        yield lambda event: event
        return
    with EventLogger(trainer.run.path) as journal:
        status = StatusWriter(trainer.run, trainer.recipe.training.epochs)

        def record(event: events.Event) -> events.Event:
            status.update(journal.write(event))
            return event

        yield record


def _run_training(trainer: Trainer, control: TrainControl) -> Iterator[events.Event]:
    """The whole training, from wherever the session stands."""
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
    yield trainer.finished_event("completed" if trainer.complete else "stopped")


def _run_epoch(trainer: Trainer, control: TrainControl) -> Iterator[events.Event]:
    """What is left of an epoch, and its evaluation.

    Asked to stop, or having gone back to a checkpoint, it leaves the session where it can go on.
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
        # In this order: killed between the two, the run reaches this place again before it needs to go back.
        yield trainer.save("epoch")
        yield trainer.save("last")


def _run_evaluation(trainer: Trainer, control: TrainControl, epoch: int) -> Iterator[events.Event]:
    """An evaluation; a pause cuts it short, and it begins anew after."""
    while not (yield from trainer.evaluate(control, epoch)) and not control.stopping:
        yield from _wait_while_paused(trainer, control)


def _wait_while_paused(trainer: Trainer, control: TrainControl) -> Iterator[events.Event]:
    """Where a pause is asked for, wait with a checkpoint until it is over or the run is stopped."""
    if not control.paused:
        return
    yield trainer.save("last")
    yield events.Paused(step=trainer.train_state.step)
    control.wait()
    trainer.reset_timers()
    if not control.stopping:
        yield events.Resumed(step=trainer.train_state.step)


def _require_new(run: Run, resume: bool) -> None:
    if not resume and not all(isinstance(event, events.ResourceEstimate) for event in run.events()):
        raise StudioError(f"The run {run.path} has begun already; resume it, or train the recipe as a new run.")


def _user_error(error: Exception) -> Exception:
    """What ends a run as a sentence where it can happen to anyone; a fault of the program stays as it is."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return StudioError("The memory is not enough for this training; lower training.batch_size, and train again.")
    if isinstance(error, FileNotFoundError):
        return StudioError("The folder of this run, or a file in it, was moved or deleted meanwhile; train again.")
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return StudioError(
            f"The run cannot be written any more ({reason}); make room on the disk, then resume it from its last "
            "checkpoint."
        )
    return error
