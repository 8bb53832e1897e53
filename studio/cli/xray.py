"""``peft-studio xray``: the ablation of a run."""

from pathlib import Path

import click

from studio.cli.console import PATH_TYPE, json_option, print_json
from studio.cli.tables import print_parts


@click.command()
@click.argument("run", type=PATH_TYPE)
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="validation", show_default=True)
@json_option
def xray(run: Path, split: str, as_json: bool) -> None:
    """Show the accuracy that each attachment adds and the change of each weight."""
    from studio.cli.ablation_text import ablation_parts
    from studio.core.run import Run
    from studio.evaluation.ablation import analyze_run

    analysis = analyze_run(Run.open(run), split)
    print_json(analysis.as_json()) if as_json else print_parts(*ablation_parts(analysis))
