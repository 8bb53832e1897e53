"""The templates of the comparison report, in ``resources/report``."""

from functools import cache
from typing import TYPE_CHECKING

from studio.core.paths import resource

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SERIES_COLORS = ("#0072b2", "#d55e00", "#009e73", "#c2619b", "#b07d00", "#2f8fcb", "#7f7f7f", "#8a5a44")
"""Colors that are distinct with any color vision; numbers distinguish further series."""


def render(name: str, **values: object) -> str:
    """Return the template ``name`` filled in; values are escaped."""
    return _environment().get_template(name).render(**values)


def series_color(number: int) -> str:
    """Return the color of a series, numbered from 1."""
    return SERIES_COLORS[(number - 1) % len(SERIES_COLORS)]


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # not at the window's start

    loader = FileSystemLoader(resource("report"))
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters.update(
        px=lambda value: f"{value:.1f}",
        percent=lambda share: "?" if share is None else f"{share:.1%}",
        series_color=series_color,
        breakable=_breakable,
    )
    return environment


def _breakable(text: object) -> "Markup":
    """Return escaped text that may wrap after a comma."""
    from markupsafe import Markup, escape

    return escape(text).replace(",", Markup(",<wbr>"))
