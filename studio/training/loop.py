"""The training loop: a generator of events that writes the run directory. It knows neither window nor command line."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import torch

from studio.core import events
from studio.core.control import Control
from studio.core.errors import StudioError
from studio.core.run import Run
from studio.training.distributed.context import Team
from studio.training.run_io.event_log import Journal
from studio.training.run_io.lock import exclusive
from studio.training.run_io.status_writer import Status
from studio.training.trainer import Session


def train(run: Run, control: Control, resume: bool = False, team: Team | None = None) -> Iterator[events.Event]:
    """Train ``run``, yielding each event once it is in ``events.jsonl``.

    With ``resume`` it goes on from the last checkpoint, or from the beginning where there is none yet.
    Raises StudioError, with nothing written, where the recipe cannot be trained, another process trains the run, or it
    is complete; and where the training itself fails, after an error event and with the best adapter kept.
    """
    team = team or Team()
    with ExitStack() as stack:
        team.same(lambda: _take(run, resume, stack))
        session = stack.enter_context(Session.prepare(run, resume, team))
        record = stack.enter_context(_recording(session))
        try:
            yield from map(record, _training(session, team.control(control)))
        except Exception as error:  # whatever it is, the run says so before it ends
            failure = _failure(error)
            with suppress(OSError):  # where the disk is full, there is no room for this either
                yield record(events.Error(text=str(failure)))
            raise failure from error


def _take(run: Run, resume: bool, stack: ExitStack) -> None:
    """Become the only writer of a run."""
    stack.enter_context(exclusive(run.path))
    _require_new(run, resume)


@contextmanager
def _recording(session: Session) -> Iterator[Callable[[events.Event], events.Event]]:
    """A function that writes an event down and returns it; of several processes the first alone writes."""
    if not session.team.leads:
        yield lambda event: event
        return
    with Journal(session.run.path) as journal:
        status = Status(session.run, session.recipe.training.epochs)

        def record(event: events.Event) -> events.Event:
            status.take(journal.write(event))
            return event

        yield record


def _training(session: Session, control: Control) -> Iterator[events.Event]:
    """The whole training, from wherever the session stands."""
    yield from session.start()
    if session.progress.step == 0:
        yield from _evaluation(session, control, epoch=0)
    while not session.complete and not control.stopping:
        yield from _epoch(session, control)
    if not session.complete:
        yield session.save("last")
    yield from session.gave_up()
    yield from session.usage()
    yield session.finished("completed" if session.complete else "stopped")


def _epoch(session: Session, control: Control) -> Iterator[events.Event]:
    """What is left of an epoch, and its evaluation.

    Asked to stop, or having gone back to a checkpoint, it leaves the session where it can go on.
    """
    for batch in session.batches():
        yield from session.step(batch)
        if session.progress.diverging:
            yield from session.roll_back()
            return
        if control.take_checkpoint_wish() or session.checkpoint_due:
            yield session.save("last")
        yield from _pause(session, control)
        if control.stopping:
            return
    yield session.end_of_epoch()
    yield from _evaluation(session, control, session.progress.epoch + 1)
    if not control.stopping:
        session.progress.next_epoch()
        # In this order: killed between the two, the run reaches this place again before it needs to go back.
        yield session.save("epoch")
        yield session.save("last")


def _evaluation(session: Session, control: Control, epoch: int) -> Iterator[events.Event]:
    """An evaluation; a pause cuts it short, and it begins anew after."""
    while not (yield from session.evaluate(control, epoch)) and not control.stopping:
        yield from _pause(session, control)


def _pause(session: Session, control: Control) -> Iterator[events.Event]:
    """Where a pause is asked for, wait with a checkpoint until it is over or the run is stopped."""
    if not control.paused:
        return
    yield session.save("last")
    yield events.Paused(step=session.progress.step)
    control.wait()
    session.forget_time()
    if not control.stopping:
        yield events.Resumed(step=session.progress.step)


def _require_new(run: Run, resume: bool) -> None:
    if not resume and not all(isinstance(event, events.Preflight) for event in run.events()):
        raise StudioError(f"The run {run.path} has begun already; resume it, or train the recipe as a new run.")


def _failure(error: Exception) -> Exception:
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
