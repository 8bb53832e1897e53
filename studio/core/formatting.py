"""Numbers as text for people."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from studio.core.messages import N_, Message


def format_duration(seconds: float) -> Message:
    """Return seconds as ``9 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    total = max(0, round(seconds))
    if total < 60:
        return N_("{seconds} s", seconds=total)
    minutes, rest = divmod(total, 60)
    if minutes < 60:
        return N_("{minutes} min {seconds} s", minutes=minutes, seconds=rest)
    return N_("{hours} h {minutes} min", hours=minutes // 60, minutes=minutes % 60)


def format_bytes(count: float) -> str:
    """Return a number of bytes as ``950 B``, ``12.3 kB``, ``340 MB`` or ``1.2 GB``."""
    return _scaled(count, (" B", " kB", " MB", " GB"))


def format_count(count: int) -> str:
    """Return a count with groups of thousands: ``1,234,567``."""
    return f"{count:,}"


def format_short_count(count: float) -> str:
    """Return a count in few characters: ``950``, ``12.3k``, ``340M``, ``1.1B``."""
    return _scaled(count, ("", "k", "M", "B"))


def _scaled(value: float, units: Sequence[str]) -> str:
    """Return ``value`` in its largest unit, with a decimal below 100 unless it is 0."""
    for power in range(len(units) - 1, 0, -1):
        scaled = value / 1000**power
        if abs(scaled) >= 0.9995:
            digits = f"{scaled:.0f}" if abs(scaled) >= 99.95 else f"{scaled:.1f}".removesuffix(".0")
            return digits + units[power]
    return f"{value:.3g}{units[0]}"


def program_command() -> str:
    """Return how to call this program again, such as ``.venv/bin/peft-studio``."""
    called = Path(sys.argv[0])
    if called.stem != "peft-studio":
        return f"{sys.executable} -m studio"
    found = shutil.which("peft-studio")
    return "peft-studio" if found and Path(found).exists() and Path(found).samefile(called) else str(called)
