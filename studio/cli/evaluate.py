"""``peft-studio evaluate``: metrics of a run."""

from pathlib import Path

import click

from studio.cli.console import PATH_TYPE, json_option, print_json
from studio.cli.tables import print_parts


@click.command()
@click.argument("run", type=PATH_TYPE)
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="validation", show_default=True)
@json_option
def evaluate(run: Path, split: str, as_json: bool) -> None:
    """Evaluate a run's best adapter on a split."""
    from studio.cli.metrics_text import metrics_parts
    from studio.core.run import Run
    from studio.evaluation import evaluate as evaluate_run

    metrics = evaluate_run(Run.open(run), split)
    print_json(metrics.as_json()) if as_json else print_parts(*metrics_parts(metrics))
