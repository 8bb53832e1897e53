"""``peft-studio data``: look at a folder of images."""

import click

from studio.cli.console import Meter, as_json, print_json


@click.group()
def data() -> None:
    """Look at a folder of images."""


@data.command()
@click.argument("path", type=str)
@as_json
def check(path: str, as_json: bool) -> None:
    """Say what is in the folder and what is wrong with it."""
    from studio.cli import data_text
    from studio.core.paths import locate
    from studio.data.checks import check as examine

    with Meter("Looking", 1) as meter:
        found = examine(locate(path), progress=meter.reach)
    print_json(found.as_json()) if as_json else click.echo(data_text.as_text(found))
