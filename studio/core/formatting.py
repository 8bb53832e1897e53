"""Plain text for people: tables and durations."""

import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path


def format_table(header: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[int] = ()) -> str:
    """Aligned columns; those whose index is in ``right`` are right-aligned."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ("  ".join(_pad(cell, widths[i], i in right) for i, cell in enumerate(row)).rstrip() for row in cells)
    return "\n".join(lines)


def _pad(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)


def format_duration(seconds: float) -> str:
    """Seconds as people say them: ``9 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def program_command() -> str:
    """How to call this program again from where it was called, such as ``.venv/bin/peft-studio``."""
    called = Path(sys.argv[0])
    if called.stem != "peft-studio":
        return f"{sys.executable} -m studio"
    found = shutil.which("peft-studio")
    return "peft-studio" if found and Path(found).exists() and Path(found).samefile(called) else str(called)


def format_bytes(count: int) -> str:
    """A number of bytes as people say it: ``12 kB``, ``340 MB``, ``1.2 GB``."""
    if count < 999.5e6:
        return f"{count / 1e3:.0f} kB" if count < 999.5e3 else f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.1f} GB"
