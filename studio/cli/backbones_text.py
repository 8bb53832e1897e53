"""The catalog of backbones as plain data and as a table."""

from dataclasses import asdict, dataclass
from typing import Any

from studio.cli.tables import TextTable, make_table
from studio.core.formatting import format_bytes


@dataclass(frozen=True, slots=True)
class BackboneEntry:
    """One backbone; ``operations`` are FLOPs per image, ``bytes`` are approximate.

    Unknown values are None.
    """

    name: str
    family: str
    parameters: int | None
    operations: int | None
    input_size: tuple[int, int]
    source: str
    license: str
    non_commercial: bool
    available: bool
    bytes: int | None

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def search_backbones(pattern: str) -> list[BackboneEntry]:
    """Return the backbones that match ``pattern``."""
    from studio.backbones import catalog

    return [
        BackboneEntry(
            name=e.name,
            family=e.family,
            parameters=e.parameters,
            operations=e.flops,
            input_size=e.input_size,
            source=e.source,
            license=e.license,
            non_commercial=e.non_commercial,
            available=e.available,
            bytes=e.weight_bytes,
        )
        for e in catalog.search(pattern)
    ]


def no_match_text(pattern: str) -> str:
    """Return that ``pattern`` matches nothing, with a suggestion."""
    from studio.backbones.catalog import did_you_mean

    suggestion = did_you_mean(pattern)
    return f"No backbones match '{pattern}'.{f' Did you mean {suggestion}?' if suggestion else ''}"


def backbones_table(entries: list[BackboneEntry]) -> TextTable:
    """Return one row per backbone."""
    header = ("name", "family", "parameters", "GFLOPs", "input", "downloaded", "license of the weights")
    return make_table(header, map(_cells, entries), right=(2, 3))


def _cells(entry: BackboneEntry) -> tuple[str, ...]:
    return (
        entry.name,
        entry.family,
        "?" if entry.parameters is None else f"{entry.parameters:,}",
        "?" if entry.operations is None else f"{entry.operations / 1e9:.1f}",
        "x".join(map(str, entry.input_size)),
        "yes" if entry.available else f"no, about {format_bytes(entry.bytes)}" if entry.bytes else "no",
        f"{entry.license}{', non-commercial' if entry.non_commercial else ''}",
    )
