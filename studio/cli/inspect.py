"""``peft-studio inspect``: the layer tree and the parameter counts."""

import click

from studio.cli.console import json_option, print_json
from studio.cli.tables import print_parts

SPEC_FORM = "METHOD@TARGET[+TARGET…][:SLICES][,field=value…]"


@click.command()
@click.argument("backbone", metavar="BACKBONE_or_RECIPE")
@click.option("--attach", multiple=True, metavar=SPEC_FORM, help="Attachment to add; may be repeated.")
@click.option("--classes", type=click.IntRange(1), help="Outputs of the classifier.")
@json_option
def inspect(backbone: str, attach: tuple[str, ...], classes: int | None, as_json: bool) -> None:
    """Show the layer tree and the parameters of attachments, without weights."""
    from studio.cli.inspect_text import layer_report

    report = layer_report(backbone, attach, classes)
    print_json(report.as_json()) if as_json else print_parts(*report.parts())
