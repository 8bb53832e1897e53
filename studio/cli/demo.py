"""``peft-studio demo``: the demo on bundled images."""

from pathlib import Path

import click

from studio.cli.console import (
    exit_interrupted,
    json_option,
    out_option,
    print_json,
    print_note,
    show_training,
    stop_on_signals,
)


@click.command()
@out_option
@json_option
def demo(out: Path | None, as_json: bool) -> int:
    """Run the demo: train LoRA on the bundled digits, evaluate, export and verify."""
    from studio.app.demo import run_demo
    from studio.core.control import TrainControl

    control = TrainControl()
    with stop_on_signals(control):
        report = run_demo(out, control, show_events=show_training, print_line=print_note)
    if report is None:
        return exit_interrupted("Stopped. The demo can be started again at any time.")
    print_json(report.as_json()) if as_json else click.echo(report.as_text())
    return 0
