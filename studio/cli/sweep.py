"""``peft-studio sweep``: grids and searches over a recipe."""

from pathlib import Path

import click

from studio.cli.compare import write_report
from studio.cli.console import (
    PATH_TYPE,
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
from studio.core.formatting import program_command


@click.command()
@click.argument("recipe", type=PATH_TYPE, metavar="RECIPE or SWEEP")
@click.option("--set", "axes", multiple=True, metavar="KEY=VALUE,VALUE…", help="Values to try. May be repeated.")
@click.option("--preset", type=click.Choice(["ranks", "lora-against-adapter"]), help="A common sweep.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Random seeds per combination.")
@click.option("--search", type=click.IntRange(1), metavar="N", help="Let Optuna choose N recipes; KEY=LOW..HIGH too.")
@click.option("--storage", default="", metavar="FILE_or_URL", help="Log file or database of the search, to share it.")
@out_option
@json_option
def sweep(
    recipe: Path,
    axes: tuple[str, ...],
    preset: str,
    seeds: int,
    search: int | None,
    storage: str,
    out: Path | None,
    as_json: bool,
) -> int:
    """Train a recipe with every combination of values.

    The same command resumes a stopped sweep.
    """
    from studio.app.sweeps import search as searches
    from studio.app.sweeps import sweep as sweeps
    from studio.cli.comparison_text import comparison_parts
    from studio.core.control import TrainControl

    control = TrainControl()
    started: searches.Search | sweeps.Sweep
    if search or searches.is_search(recipe):
        if preset:
            raise StudioError("bad-option", "--preset and --search exclude each other. Remove one of them.")
        started = searches.open_or_create_search(recipe, out, axes, search or 1, seeds, storage)
        with stop_on_signals(control):
            searches.run_search(started, control, show_events=show_training, print_line=print_note)
    else:
        started = sweeps.open_or_create_sweep(recipe, out, axes, preset or "", seeds)
        with stop_on_signals(control):
            sweeps.run_sweep(started, control, show_events=show_training, print_line=print_note)
    result, page = started.comparison(), write_report(started.runs(), started.folder)
    if as_json:
        print_json({"sweep": str(started.folder), "report": str(page), **result.as_json()})
    else:
        print_parts(*comparison_parts(result), f"report  {page}")
    if control.stopping:
        return exit_interrupted(f"Stopped. Resume it: {program_command()} sweep {started.folder}")
    return 0 if started.complete else 1
