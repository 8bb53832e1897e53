"""``peft-studio data``: look at a folder of images."""

import click

from studio.cli.console import ProgressBar, json_option, print_json


@click.group()
def data() -> None:
    """Look at a folder of images."""


@data.command()
@click.argument("path", type=str)
@json_option
def check(path: str, as_json: bool) -> None:
    """Say what is in the folder and what is wrong with it."""
    from studio.cli import data_text
    from studio.core.paths import resolve_path
    from studio.data.checks import check as examine

    with ProgressBar("Looking", 1) as meter:
        found = examine(resolve_path(path), progress=meter.on_progress)
    print_json(found.as_json()) if as_json else click.echo(data_text.format_dataset(found))
