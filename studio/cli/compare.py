"""``peft-studio compare``: runs side by side."""

from collections.abc import Sequence
from pathlib import Path

import click

from studio.cli.console import PATH_TYPE, json_option, print_json, print_note
from studio.core.run import Run


@click.command()
@click.argument("runs", type=PATH_TYPE, nargs=-1, required=True, metavar="RUN…")
@click.option(
    "--report", type=PATH_TYPE, metavar="DIR", help="Write a page with tables and charts, report.html, there."
)
@json_option
def compare(runs: tuple[Path, ...], report: Path | None, as_json: bool) -> None:
    """Put the recipes and results of runs side by side."""
    from studio.app.comparison import comparison

    opened = [Run.open(path) for path in runs]
    found = comparison.compare(opened)
    if report:
        print_note(f"The report is in {write_report(opened, report)}")
    print_json(found.as_json()) if as_json else click.echo(found.as_text())


def write_report(runs: "Sequence[Run]", folder: Path) -> Path:
    """Write the comparison report of ``runs`` into ``folder``; return its page."""
    from studio.app.comparison.report_writer import write_report
    from studio.app.comparison.seed_groups import group_runs

    return write_report(group_runs(runs), folder)
