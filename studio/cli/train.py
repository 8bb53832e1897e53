"""``peft-studio train``: train a recipe."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from studio.cli.console import (
    EXIT_INTERRUPTED,
    PATH_TYPE,
    ProgressBar,
    exit_interrupted,
    json_option,
    out_option,
    print_json,
    print_note,
    show_training,
    stop_on_signals,
)
from studio.cli.tables import print_parts
from studio.core.errors import StudioError
from studio.core.formatting import format_duration, program_command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from studio.app.training import TrainingResult
    from studio.core.control import TrainControl
    from studio.core.events import Event
    from studio.core.recipe import Recipe
    from studio.core.run import Run


@click.command()
@click.argument("recipe", type=PATH_TYPE)
@out_option
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a value of the recipe.")
@click.option("--resume", is_flag=True, help="Resume the run in --out, or the run given as RECIPE.")
@click.option("--suggest", is_flag=True, help="Choose rate, batch size and epochs automatically; --set overrides.")
@click.option("--preflight", is_flag=True, help="Only estimate memory and time, in a few steps.")
@click.option("--find-rate", is_flag=True, help="Only suggest a learning rate, in a hundred steps.")
@json_option
def train(
    recipe: Path,
    out: Path | None,
    assignments: tuple[str, ...],
    resume: bool,
    suggest: bool,
    preflight: bool,
    find_rate: bool,
    as_json: bool,
) -> int:
    """Train a recipe."""
    from studio.app import suggested_hparams, training
    from studio.cli import launch
    from studio.core.control import TrainControl
    from studio.training.distributed import context as teams

    if suggest:
        assignments = suggested_hparams.suggested_assignments(recipe, assignments)
    if preflight:
        return _preflight(training.load_recipe(recipe, assignments), as_json)
    control = TrainControl()
    if find_rate:
        return _rates(training.load_recipe(recipe, assignments), control, as_json)
    with teams.init_distributed() as team, stop_on_signals(control):
        with ProgressBar("Reading images", 1) as bar:
            run, is_resumed = launch.start_or_resume(recipe, out, assignments, resume, team, bar.on_progress)
        if team.is_single_process and not is_resumed and sys.stderr.isatty():
            _forecast(run, control)
        stream = training.train(run, control, is_resumed, team)
        if not team.is_main_process:
            return _silently(stream)
        show_training("Training", stream)
    result = training.read_result(run)
    print_json(result.as_json()) if as_json else print_parts(_result_text(result))
    if result.reason == "stopped":
        return exit_interrupted(f"Stopped. Resume it: {program_command()} train {run.path} --resume")
    return 0


def _preflight(recipe: "Recipe", as_json: bool) -> int:
    """Estimate in this process, which does nothing else."""
    from studio.app import estimate_cache, training

    training.check_trainable(recipe)
    estimate = estimate_cache.estimate_in_process(recipe)
    print_json(estimate_cache.estimate_json(estimate)) if as_json else click.echo(
        estimate_cache.format_estimate(estimate)
    )
    return 0


def _rates(recipe: "Recipe", control: "TrainControl", as_json: bool) -> int:
    """Run the learning rate finder; Ctrl+C ends it with nothing left behind."""
    from studio.app import training
    from studio.app.lr_finder import find_lr
    from studio.cli.lr_finder_text import lr_curve_parts

    training.check_trainable(recipe)
    with stop_on_signals(control):
        curve = find_lr(recipe, control)
    print_json(asdict(curve)) if as_json else print_parts(*lr_curve_parts(curve))
    return 0


def _forecast(run: "Run", control: "TrainControl") -> None:
    """Print the estimate of a new run, or why it cannot be estimated."""
    from studio.app.estimate_cache import cached_estimate, estimate_in_subprocess, format_estimate

    try:
        print_note(format_estimate(cached_estimate(run.recipe) or estimate_in_subprocess(run.recipe, control)))
    except StudioError as error:
        print_note(str(error))


def _silently(stream: "Iterable[Event]") -> int:
    """Train in a process that is not the main one; return the same exit code."""
    reason = [getattr(event, "reason", "") for event in stream][-1]
    return EXIT_INTERRUPTED if reason == "stopped" else 0


def _result_text(result: "TrainingResult") -> str:
    best = f"best validation accuracy {result.best_accuracy:.1%} in epoch {result.best_epoch}"
    waiting = f"{result.waited / max(result.seconds, 1e-9):.0%} of it waiting for images"
    return f"{best}, {format_duration(result.seconds)}, {waiting}\n{result.run}"
