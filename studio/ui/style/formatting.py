"""Numbers as people read them."""

from studio.ui.i18n.language import tr


def format_count(value: int) -> str:
    """A count in full, with thin groups: 1,234,567."""
    return f"{value:,}"


def format_short_count(value: int) -> str:
    """A count in at most five characters: 950, 12.3k, 86.4M, 1.1B."""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit * 0.9995:
            scaled = value / limit
            return f"{scaled:.0f}{unit}" if abs(scaled) >= 99.95 else f"{scaled:.1f}{unit}"
    return str(value)


def format_bytes(value: int) -> str:
    """Bytes as B, kB, MB or GB."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= limit:
            return f"{value / limit:.1f} {unit}"
    return f"{value} B"


def format_percent(share: float, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage."""
    return f"{share * 100:.{digits}f} %"


def format_small_percent(value: float) -> str:
    """A percentage that may be far below one: 0.02 %, 3.1 %."""
    return f"{value:.1f} %" if value >= 1 or value == 0 else f"{value:.2g} %"


def format_duration(seconds: float) -> str:
    """Seconds as 45 s, 3 min 20 s or 2 h 5 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return tr("{seconds} s", seconds=whole)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return tr("{minutes} min {seconds} s", minutes=minutes, seconds=rest)
    return tr("{hours} h {minutes} min", hours=minutes // 60, minutes=minutes % 60)


def pluralize(number: int, noun: str, many: str = "") -> str:
    """``1 layer``, ``3 layers``."""
    return tr(f"{{n}} {noun if number == 1 else many or noun + 's'}", n=format_count(number))
