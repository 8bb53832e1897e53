"""The catalogue of backbones as ``peft-studio backbones`` shows it."""

from dataclasses import asdict, dataclass
from typing import Any

from studio.core.formatting import format_bytes, format_table


@dataclass(frozen=True, slots=True)
class BackboneEntry:
    """One backbone. ``parameters`` and ``operations`` (for one image) are None where unknown; ``bytes`` is about."""

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
        """Plain data."""
        return asdict(self)


def search_backbones(pattern: str) -> list[BackboneEntry]:
    """The backbones that ``pattern`` asks for."""
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
    """That ``pattern`` finds nothing, and what may have been meant."""
    from studio.backbones.catalog import did_you_mean

    likely = did_you_mean(pattern)
    return f"No backbone is called {pattern!r}{f'; did you mean {likely}?' if likely else '.'}"


def format_backbones(entries: list[BackboneEntry]) -> str:
    """A table for a person."""
    header = ("name", "family", "parameters", "GFLOPs", "input", "on this machine", "licence of the weights")
    return format_table(header, [_cells(entry) for entry in entries], right=(2, 3))


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
