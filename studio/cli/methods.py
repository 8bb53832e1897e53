"""``peft-studio methods``: the PEFT methods."""

import click

from studio.cli.console import json_option, print_json
from studio.cli.tables import print_parts


@click.command()
@click.argument("name", required=False)
@json_option
def methods(name: str | None, as_json: bool) -> None:
    """List the PEFT methods, or describe the method NAME."""
    from studio.app import method_info
    from studio.cli.methods_text import method_parts, methods_table

    if name:
        method = method_info.describe_method(name)
        print_json(method.as_json()) if as_json else print_parts(*method_parts(method))
    elif as_json:
        print_json({"methods": [method.as_json() for method in method_info.describe_methods()]})
    else:
        print_parts(methods_table(method_info.describe_methods()))
