"""``peft-studio doctor``: the state of this machine."""

import click

from studio.cli.console import json_option, print_json
from studio.cli.tables import make_table, print_parts


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Check this machine and the installation."""
    from studio.app.doctor import run_checks

    results = run_checks()
    if as_json:
        print_json({"findings": [result.as_json() for result in results]})  # language: kept
    else:
        print_parts(make_table(("check", "state", ""), ((r.name, r.state, r.detail) for r in results)))
    return 1 if any(result.state == "broken" for result in results) else 0
