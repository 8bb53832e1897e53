"""The catalogue of backbones with what takes time to know, for ``peft-studio backbones``."""

from dataclasses import asdict, dataclass
from typing import Any

COUNTED = 30
"""Parameters are counted by building the network without weights, which takes a moment each: only for so many."""


@dataclass(frozen=True, slots=True)
class BackboneEntry:
    """One backbone; ``parameters`` is None in a list too long to count."""

    name: str
    parameters: int | None
    input_size: tuple[int, int]
    source: str
    licence: str
    available: bool

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def search(pattern: str) -> list[BackboneEntry]:
    """The backbones whose name contains ``pattern``."""
    from studio.backbones import catalogue

    found = catalogue.search(pattern)
    counted = len(found) <= COUNTED
    return [
        BackboneEntry(e.name, _parameters(e) if counted else None, e.input_size, e.source, e.licence, e.available)
        for e in found
    ]


def _parameters(entry: Any) -> int:
    from studio.backbones.loading import skeleton

    return sum(p.numel() for p in skeleton(entry.backbone).parameters())
