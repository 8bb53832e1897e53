"""``peft-studio data``: checks of a folder of images."""

import click

from studio.cli.console import ProgressBar, json_option, print_json
from studio.cli.tables import print_parts


@click.group()
def data() -> None:
    """Check a folder of images."""


@data.command()
@click.argument("path", type=str)
@json_option
def check(path: str, as_json: bool) -> None:
    """List the images, classes and splits of PATH, and their issues."""
    from studio.cli import data_text
    from studio.core.paths import resolve_path
    from studio.data.checks import check as check_data

    with ProgressBar("Reading images", 1) as bar:
        index = check_data(resolve_path(path), progress=bar.on_progress)
    print_json(index.as_json()) if as_json else print_parts(*data_text.dataset_parts(index))
