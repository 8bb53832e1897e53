"""``peft-studio compare``: runs side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from studio.cli.console import PATH_TYPE, json_option, print_json, print_note
from studio.cli.tables import print_parts

if TYPE_CHECKING:
    from studio.core.run import Run


@click.command()
@click.argument("runs", type=PATH_TYPE, nargs=-1, required=True, metavar="RUN…")
@click.option("--report", type=PATH_TYPE, metavar="DIR", help="Write report.html with tables and charts to DIR.")
@json_option
def compare(runs: tuple[Path, ...], report: Path | None, as_json: bool) -> None:
    """Compare the recipes and results of runs."""
    from studio.app.comparison import comparison
    from studio.cli.comparison_text import comparison_parts
    from studio.core.run import Run

    opened = [Run.open(path) for path in runs]
    result = comparison.compare(opened)
    if report:
        print_note(f"The report is in {write_report(opened, report)}")
    print_json(result.as_json()) if as_json else print_parts(*comparison_parts(result))


def write_report(runs: "Sequence[Run]", folder: Path) -> Path:
    """Write the comparison report of ``runs`` to ``folder``; return its page."""
    from studio.app.comparison.report_writer import write_report
    from studio.app.comparison.seed_groups import group_runs

    return write_report(group_runs(runs), folder)
