"""Errors, exit codes, JSON and progress of the command line. No torch, no Qt."""

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import click

from studio.core.errors import StudioError
from studio.core.formatting import format_duration

if TYPE_CHECKING:
    from rich.progress import Progress

    from studio.core.events import Event

EXIT_INTERRUPTED = 130
EXIT_WRONG_INPUT = 2
EXIT_UNEXPECTED = 1
PATH_TYPE = click.Path(path_type=Path)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object only.")
out_option = click.option("--out", type=PATH_TYPE, help="Folder to write to.")


class Stoppable(Protocol):
    """An object that Ctrl+C stops, such as a TrainControl."""

    def stop(self) -> None:
        """Request a clean end; returns at once."""


class CommandGroup(click.Group):
    """A group of commands whose errors become one line on stderr and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run the command that the arguments name, then exit the process."""
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
    """Print how to resume after Ctrl+C, and return the exit code."""
    return _fail(sentence, EXIT_INTERRUPTED)


def _fail(sentence: str, code: int) -> int:
    click.echo(" ".join(sentence.split()), err=True)
    return code


def _click_message(error: click.ClickException) -> str:
    """Return click's message, with the command for help."""
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".")
    return f"{message}. See {context.command_path} --help." if context else f"{message}."


def _unexpected_message(error: Exception) -> str:
    """Save the traceback for a bug report, and return a text that says where."""
    title = f"{type(error).__name__}: {error}"
    try:
        path = _write_log(error)
    except OSError:
        return f"Unexpected error ({title}); the log could not be written."
    return f"Unexpected error ({title}). Details are in {path}."


def _write_log(error: Exception) -> Path:
    from studio.core import paths

    folder = paths.data_dir() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"error-{datetime.now():%Y-%m-%d-%H%M%S}-{os.getpid()}.txt"
    path.write_text(f"{' '.join(sys.argv)}\n\n{''.join(traceback.format_exception(error))}", encoding="utf-8")
    return path


def _discard_stdout() -> None:
    """Discard the rest of stdout after its reader ended, such as ``| head``."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def stop_on_signals(control: Stoppable) -> Iterator[None]:
    """Stop cleanly at the first Ctrl+C or SIGTERM; a second Ctrl+C interrupts."""

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
    """Print a JSON object to stdout; NaN and infinity, which JSON lacks, become null."""
    click.echo(json.dumps(_without_nan(value), ensure_ascii=False, allow_nan=False))


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, list | tuple) else value


def print_note(text: str) -> None:
    """Print a line to stderr."""
    click.echo(text, err=True)


class ProgressBar:
    """Progress of long work on stderr: a bar on a terminal, else lines now and then."""

    def __init__(self, label: str, total: int) -> None:
        self._label = label
        self._progress = _rich_progress()
        self._task = self._progress.add_task(label, total=max(total, 1), detail="")

    def __enter__(self) -> "ProgressBar":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def set_total(self, total: int, done: int = 0) -> None:
        """Set a total that has become known; the time left is computed from here."""
        self._progress.reset(self._task, total=max(total, 1), completed=done)

    def update(self, done: int, detail: str = "") -> None:
        """Set the number of steps done."""
        self._progress.update(self._task, completed=done, detail=detail)

    def on_progress(self, phase: str, done: int, total: int) -> None:
        """Update the steps done and the total, as a ProgressCallback."""
        if total != self._progress.tasks[0].total:
            self.set_total(total)
        self.update(done)

    def print_line(self, text: str) -> None:
        """Print a milestone above the bar, or as a line with the time left."""
        if self._progress.disable:
            print_note(f"{self._label}: {text}{self._remaining()}")
        else:
            self._progress.console.print(f"{self._label}: {text}", highlight=False, markup=False)

    def _remaining(self) -> str:
        seconds = self._progress.tasks[0].time_remaining
        return f" (about {format_duration(seconds)} left)" if seconds else ""


def _rich_progress() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    label, detail = (TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[detail]}"))
    columns = (label, BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), detail)
    return Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
        speed_estimate_period=600,
    )


def show_training(label: str, stream: Iterable["Event"]) -> None:
    """Show the progress of a training."""
    from studio.core import events

    with ProgressBar(label, 1) as bar:
        for event in stream:
            if isinstance(event, events.Started):
                bar.set_total(event.steps, event.step)
            elif isinstance(event, events.Step):
                bar.update(event.step, f"loss {event.loss:.3f}")
            elif isinstance(event, events.Evaluation):
                bar.print_line(
                    f"epoch {event.epoch}, loss {event.loss:.3f}, {event.split} accuracy {event.accuracy:.1%}"
                )
            elif isinstance(event, events.Warning):
                bar.print_line(event.text)
