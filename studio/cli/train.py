"""``peft-studio train``: run a recipe."""

import sys
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
from studio.core.errors import StudioError
from studio.core.formatting import program_command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from studio.core.control import TrainControl
    from studio.core.events import Event
    from studio.core.recipe import Recipe
    from studio.core.run import Run


@click.command()
@click.argument("recipe", type=PATH_TYPE)
@out_option
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a value of the recipe.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out (or with the run named as RECIPE).")
@click.option("--suggest", is_flag=True, help="Take a rate, batches and epochs that suit; --set has the last word.")
@click.option("--preflight", is_flag=True, help="Only measure, in a few steps, what memory and time it would take.")
@click.option("--find-rate", is_flag=True, help="Only try learning rates, in a hundred steps, and suggest one.")
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
    """Run a recipe."""
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
        with ProgressBar("Looking at the images", 1) as meter:
            run, goes_on = launch.start_or_resume(recipe, out, assignments, resume, team, meter.on_progress)
        if team.is_single_process and not goes_on and sys.stderr.isatty():
            _forecast(run, control)
        happening = training.train(run, control, goes_on, team)
        if not team.is_main_process:
            return _silently(happening)
        show_training("Training", happening)
    result = training.read_result(run)
    print_json(result.as_json()) if as_json else click.echo(result.as_text())
    if result.reason == "stopped":
        return exit_interrupted(f"Stopped; go on with: {program_command()} train {run.path} --resume")
    return 0


def _preflight(recipe: "Recipe", as_json: bool) -> int:
    """Measure here and now: this process has nothing else to do."""
    from studio.app import estimate_cache as preflight
    from studio.app import training

    training.check_trainable(recipe)
    found = preflight.estimate_in_process(recipe)
    print_json(preflight.estimate_json(found)) if as_json else click.echo(preflight.format_estimate(found))
    return 0


def _rates(recipe: "Recipe", control: "TrainControl", as_json: bool) -> int:
    """Try learning rates; Ctrl+C ends that with nothing left behind."""
    from studio.app import lr_finder_text, training

    training.check_trainable(recipe)
    with stop_on_signals(control):
        curve = lr_finder_text.find_lr(recipe, control)
    print_json(lr_finder_text.lr_curve_json(curve)) if as_json else click.echo(lr_finder_text.format_lr_curve(curve))
    return 0


def _forecast(run: "Run", control: "TrainControl") -> None:
    """Say what a new run will take; where that cannot be measured, why, and train all the same."""
    from studio.app import estimate_cache as preflight

    try:
        print_note(
            preflight.format_estimate(
                preflight.cached_estimate(run.recipe) or preflight.estimate_in_subprocess(run.recipe, control)
            )
        )
    except StudioError as error:
        print_note(str(error))


def _silently(happening: "Iterable[Event]") -> int:
    """Train beside the process that speaks to the user, and end as it does."""
    ended = [getattr(event, "reason", "") for event in happening][-1]
    return EXIT_INTERRUPTED if ended == "stopped" else 0
