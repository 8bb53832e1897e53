"""``peft-studio demo``: the embedded example."""

from pathlib import Path

import click

from studio.cli.console import as_json, interrupted, note, out_option, print_json, show_training, signals_stop


@click.command()
@out_option
@as_json
def demo(out: Path | None, as_json: bool) -> int:
    """Run the embedded example: train LoRA on the bundled digits, evaluate, export, verify."""
    from studio.app import demo as embedded
    from studio.core.control import TrainControl

    control = TrainControl()
    with signals_stop(control):
        report = embedded.run(out, control, show=show_training, say=note)
    if report is None:
        return interrupted("Stopped; the demo can be started anew at any time.")
    print_json(report.as_json()) if as_json else click.echo(report.as_text())
    return 0
