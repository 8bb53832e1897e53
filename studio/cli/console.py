"""What the command line shows and how it ends: one sentence for an error, tables, JSON, progress. No torch, no Qt."""

import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import click

from studio.core.errors import StudioError
from studio.core.formatting import format_duration

if TYPE_CHECKING:
    from studio.core.events import Event

EXIT_INTERRUPTED = 130
EXIT_WRONG_INPUT = 2
EXIT_UNEXPECTED = 1
PATH_TYPE = click.Path(path_type=Path)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
out_option = click.option("--out", type=PATH_TYPE, help="Folder to write to.")


class Stoppable(Protocol):
    """What Ctrl+C asks to stop (a :class:`studio.core.control.TrainControl`)."""

    def stop(self) -> None:
        """Ask for a clean end; returns at once."""


class CommandGroup(click.Group):
    """A group of verbs whose errors all end in one place: a sentence on stderr and the contract's exit code."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run the verb that the arguments name, then exit the process."""
        kwargs["standalone_mode"] = False
        sys.exit(_exit_code_of(lambda: super(CommandGroup, self).main(*args, **kwargs)))


def _exit_code_of(run: Callable[[], Any]) -> int:
    try:
        result = run()
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        return _fail(_click_message(error), EXIT_WRONG_INPUT)
    except StudioError as error:
        return _fail(str(error), EXIT_WRONG_INPUT)
    except (click.Abort, KeyboardInterrupt):
        return _fail("Interrupted.", EXIT_INTERRUPTED)
    except BrokenPipeError:
        _discard_stdout()
        return EXIT_UNEXPECTED
    except Exception as error:  # the last place before the user
        return _fail(_unexpected_message(error), EXIT_UNEXPECTED)


def exit_interrupted(sentence: str) -> int:
    """End after Ctrl+C with everything in order; the sentence says how to go on. Returns the exit code."""
    return _fail(sentence, EXIT_INTERRUPTED)


def _fail(sentence: str, code: int) -> int:
    click.echo(" ".join(sentence.split()), err=True)
    return code


def _click_message(error: click.ClickException) -> str:
    """click's own message (a wrong option, a missing argument) with the place where to read more."""
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".")
    return f"{message}; see {context.command_path} --help." if context else f"{message}."


def _unexpected_message(error: Exception) -> str:
    """Keep the traceback in a file for a bug report; the sentence says where."""
    title = f"{type(error).__name__}: {error}"
    try:
        path = _write_log(error)
    except OSError:
        return f"Something unexpected went wrong ({title}), and the log could not be written."
    return f"Something unexpected went wrong ({title}); the details are in {path}."


def _write_log(error: Exception) -> Path:
    from studio.core import paths

    folder = paths.data_dir() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"error-{datetime.now():%Y-%m-%d-%H%M%S}-{os.getpid()}.txt"
    path.write_text(f"{' '.join(sys.argv)}\n\n{''.join(traceback.format_exception(error))}", encoding="utf-8")
    return path


def _discard_stdout() -> None:
    """The reader of our output went away (``| head``): leave nothing that Python would complain about at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def stop_on_signals(control: Stoppable) -> Iterator[None]:
    """Turn the first Ctrl+C or SIGTERM into a clean stop; Ctrl+C after that interrupts at once."""

    def ask(number: int, frame: object) -> None:
        control.stop()
        print_note("Stopping after this step. Press Ctrl+C to stop at once.")
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_json(value: Any) -> None:
    """The one JSON object on stdout; NaN and infinity become null, because JSON has neither."""
    click.echo(json.dumps(_without_nan(value), ensure_ascii=False, allow_nan=False))


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, list | tuple) else value


def print_note(text: str) -> None:
    """A line on stderr."""
    click.echo(text, err=True)


class ProgressBar:
    """Progress of long work on stderr: a bar with the time left on a terminal, else a plain line now and then."""

    def __init__(self, label: str, total: int) -> None:
        self._label = label
        self._total, self._done, self._start_done, self._start_time = max(total, 1), 0, 0, time.monotonic()
        self._bar = _rich_progress(label, self._total) if sys.stderr.isatty() else None

    def __enter__(self) -> "ProgressBar":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar:
            self._bar.stop()

    def set_total(self, total: int, done: int = 0) -> None:
        """The total has become known; time left is reckoned from here."""
        self._total, self._done, self._start_done, self._start_time = max(total, 1), done, done, time.monotonic()
        if self._bar:
            self._bar.update(self._bar.task_ids[0], total=self._total, completed=done)

    def update(self, done: int, detail: str = "") -> None:
        """``done`` of the total is reached."""
        self._done = done
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=done, detail=detail)

    def on_progress(self, phase: str, done: int, total: int) -> None:
        """:meth:`update` where the total comes with each step, as when images are looked at."""
        if total != self._total:
            self.set_total(total)
        self.update(done)

    def print_line(self, text: str) -> None:
        """A milestone: printed above the bar, or as a line of its own with the time left."""
        if self._bar:
            self._bar.console.print(f"{self._label}: {text}", highlight=False, markup=False)
        else:
            print_note(f"{self._label}: {text}{self._remaining()}")

    def _remaining(self) -> str:
        if not self._start_done < self._done < self._total:
            return ""
        seconds = (time.monotonic() - self._start_time) / (self._done - self._start_done) * (self._total - self._done)
        return f" (about {format_duration(seconds)} left)"


def _rich_progress(label: str, total: int) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), "{task.fields[detail]}")
    made = [TextColumn(c, markup=False) if isinstance(c, str) else c for c in columns]
    progress = Progress(*made, console=Console(stderr=True), transient=True)
    progress.add_task(label, total=total, detail="")
    return progress


def show_training(label: str, happening: Iterable["Event"]) -> None:
    """Show a training run as it goes."""
    from studio.core import events

    with ProgressBar(label, 1) as meter:
        for event in happening:
            if isinstance(event, events.Started):
                meter.set_total(event.steps, event.step)
            elif isinstance(event, events.Step):
                meter.update(event.step, f"loss {event.loss:.3f}")
            elif isinstance(event, events.Evaluation):
                meter.print_line(
                    f"epoch {event.epoch}, loss {event.loss:.3f}, {event.split} accuracy {event.accuracy:.1%}"
                )
            elif isinstance(event, events.Warning):
                meter.print_line(event.text)
