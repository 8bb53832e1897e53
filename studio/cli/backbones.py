"""``peft-studio backbones``: the catalog."""

import click

from studio.cli.console import json_option, print_json


@click.command()
@click.argument("pattern", default="")
@json_option
def backbones(pattern: str, as_json: bool) -> None:
    """List the backbones with the words of PATTERN in name, family or size, or whose name it matches with a *."""
    from studio.cli import backbones_text

    found = backbones_text.search_backbones(pattern)
    if as_json:
        return print_json({"backbones": [entry.as_json() for entry in found]})
    return click.echo(backbones_text.format_backbones(found) if found else backbones_text.no_match_text(pattern))
