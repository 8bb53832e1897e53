"""``peft-studio evaluate``: metrics of a run."""

from pathlib import Path

import click

from studio.cli.console import PATH_TYPE, json_option, print_json
from studio.core.run import Run


@click.command()
@click.argument("run", type=PATH_TYPE)
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="validation", show_default=True)
@json_option
def evaluate(run: Path, split: str, as_json: bool) -> None:
    """Measure a run's best adapter on a split."""
    from studio.cli.metrics_text import format_metrics
    from studio.evaluation import evaluate as measure

    metrics = measure(Run.open(run), split)
    print_json(metrics.as_json()) if as_json else click.echo(format_metrics(metrics))
