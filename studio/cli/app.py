"""``peft-studio app``: open the window."""

from pathlib import Path

import click

from studio.cli.console import PATH_TYPE
from studio.core.errors import StudioError


@click.command()
@click.argument("path", type=PATH_TYPE, required=False, metavar="[RECIPE or RUN]")
def app(path: Path | None = None) -> int:
    """Open the window, with a recipe or a run if one is given."""
    from studio.app.doctor import require_display

    require_display()
    if path is not None and not path.exists():
        raise StudioError("no-recipe", "There is no recipe or run {path}.", path=path)
    try:
        from studio.ui.application import run
    except ImportError as error:
        raise StudioError("no-qt", "Cannot open the window: Qt does not load ({reason}).", reason=error) from error
    return run(str(path) if path else None)
