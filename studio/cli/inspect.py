"""``peft-studio inspect``: the layer tree and the parameter counts."""

import click

from studio.cli.console import json_option, print_json


@click.command()
@click.argument("backbone", metavar="BACKBONE_or_RECIPE")
@click.option("--attach", multiple=True, metavar="METHOD@TARGET[:SLICES][,field=value…]", help="May be repeated.")
@click.option("--classes", type=click.IntRange(1), help="Outputs of the classifier.")
@json_option
def inspect(backbone: str, attach: tuple[str, ...], classes: int | None, as_json: bool) -> None:
    """Show the layer tree and what attachments would cost. No weights are loaded."""
    from studio.cli.inspect_text import layer_report

    found = layer_report(backbone, attach, classes)
    print_json(found.as_json()) if as_json else click.echo(found.as_text())
