"""``peft-studio methods``: the PEFT methods."""

import click

from studio.cli.console import json_option, print_json
from studio.core.formatting import format_table


@click.command()
@click.argument("name", required=False)
@json_option
def methods(name: str | None, as_json: bool) -> None:
    """List the PEFT methods, or tell all about one."""
    from studio.app import method_info as known

    if name:
        described = known.describe_method(name)
        print_json(described.as_json()) if as_json else click.echo(described.as_text())
    elif as_json:
        print_json({"methods": [method.as_json() for method in known.describe_methods()]})
    else:
        rows = [(m.name, m.label, "yes" if m.mergeable else "no", m.summary) for m in known.describe_methods()]
        click.echo(format_table(("name", "method", "merges", "what it is"), rows))
