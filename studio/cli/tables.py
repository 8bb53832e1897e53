"""Tables: folded to the width of a terminal by rich, plain columns in a pipe."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table; the columns whose index is in ``right`` are right-aligned."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()


Part = str | TextTable


def make_table(header: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[int] = ()) -> TextTable:
    """Return a table of ``rows``, whose cells become text."""
    return TextTable(tuple(header), tuple(tuple(map(str, row)) for row in rows), tuple(right))


def print_parts(*parts: Part) -> None:
    """Print paragraphs and tables to stdout, with a blank line between them."""
    if not sys.stdout.isatty():
        return click.echo(plain_text(*parts))
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for index, part in enumerate(parts):
        if index:
            console.print()
        console.print(_rich_table(part) if isinstance(part, TextTable) else part)
    return None


def plain_text(*parts: Part) -> str:
    """Return paragraphs and tables as text without wrapping or truncation."""
    return "\n\n".join(_plain_table(part) if isinstance(part, TextTable) else part for part in parts)


def _plain_table(table: TextTable) -> str:
    lines = (table.header, *table.rows)
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.header))]
    return "\n".join(
        "  ".join(
            cell.rjust(widths[i]) if i in table.right else cell.ljust(widths[i]) for i, cell in enumerate(line)
        ).rstrip()
        for line in lines
    )


def _rich_table(table: TextTable) -> object:
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(table.header):
        made.add_column(Text(name), justify="right" if index in table.right else "left", overflow="fold")
    for row in table.rows:
        made.add_row(*map(Text, row))
    return made
