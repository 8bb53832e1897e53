"""``peft-studio backbones``: the catalog."""

import click

from studio.cli.console import json_option, print_json
from studio.cli.tables import print_parts


@click.command()
@click.argument("pattern", default="")
@json_option
def backbones(pattern: str, as_json: bool) -> None:
    """List backbones whose name, family or size contains PATTERN.

    A PATTERN with a * matches the whole name.
    """
    from studio.cli import backbones_text

    entries = backbones_text.search_backbones(pattern)
    if as_json:
        return print_json({"backbones": [entry.as_json() for entry in entries]})
    return print_parts(backbones_text.backbones_table(entries) if entries else backbones_text.no_match_text(pattern))
