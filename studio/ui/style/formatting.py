"""Numbers as texts of the window."""

from studio.core import formatting
from studio.core.formatting import format_bytes, format_count, format_short_count
from studio.ui.i18n.language import localized

__all__ = [
    "format_bytes",
    "format_count",
    "format_duration",
    "format_percent",
    "format_short_count",
    "format_small_percent",
]


def format_percent(share: float, digits: int = 1) -> str:
    """Return a share in [0, 1] as a percentage."""
    return f"{share * 100:.{digits}f} %"


def format_small_percent(value: float) -> str:
    """Return a percentage that may be far below one: 0.02 %, 3.1 %."""
    return f"{value:.1f} %" if value >= 1 or value == 0 else f"{value:.2g} %"


def format_duration(seconds: float) -> str:
    """Return seconds as 45 s, 3 min 20 s or 2 h 5 min."""
    return localized(formatting.format_duration(seconds))
