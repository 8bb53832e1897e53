"""``peft-studio xray``: the contribution of each attachment."""

from pathlib import Path

import click

from studio.cli.console import PATH_TYPE, json_option, print_json
from studio.core.run import Run


@click.command()
@click.argument("run", type=PATH_TYPE)
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="validation", show_default=True)
@json_option
def xray(run: Path, split: str, as_json: bool) -> None:
    """Say what each attachment is worth, and how much training changed each weight."""
    from studio.cli.ablation_text import format_ablation
    from studio.evaluation.ablation import analyze_run as look

    found = look(Run.open(run), split)
    print_json(found.as_json()) if as_json else click.echo(format_ablation(found))
