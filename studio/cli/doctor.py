"""``peft-studio doctor``: the state of this machine."""

import click

from studio.cli.console import json_option, print_json
from studio.core.formatting import format_table


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Say what this machine has and what is broken."""
    from studio.app import doctor as health

    findings = health.run_checks()
    if as_json:
        print_json({"findings": [finding.as_json() for finding in findings]})
    else:
        click.echo(format_table(("what", "state", ""), [(f.name, f.state, f.detail) for f in findings]))
    return 1 if any(f.state == "broken" for f in findings) else 0
