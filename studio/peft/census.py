"""Counts of an attached backbone: what trains, what is frozen, what goes into the file."""

from dataclasses import dataclass, field
from typing import Any

from studio.peft.resolution import Skipped


@dataclass(frozen=True, slots=True)
class AttachmentCensus:
    """One attachment: where it is, where it is not and why, and how many trainable parameters it has at each site."""

    name: str
    method: str
    matched: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    parameters: int
    per_site: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Census:
    """All counts. ``adapter_bytes`` is the size of the tensors that the adapter file holds, head included."""

    total_parameters: int
    trainable_parameters: int
    adapter_bytes: int
    head_parameters: int
    attachments: tuple[AttachmentCensus, ...]

    @property
    def trainable_percent(self) -> float:
        """Trainable parameters in percent of all."""
        return 100 * self.trainable_parameters / self.total_parameters if self.total_parameters else 0.0

    def as_json(self, backbone: str) -> dict[str, Any]:
        """The object that ``inspect --json`` prints."""
        return {
            "backbone": backbone,
            "total_parameters": self.total_parameters,
            "trainable_parameters": self.trainable_parameters,
            "trainable_percent": self.trainable_percent,
            "adapter_bytes": self.adapter_bytes,
            "head_parameters": self.head_parameters,
            "attachments": [
                {
                    "name": a.name,
                    "method": a.method,
                    "matched": list(a.matched),
                    "skipped": [{"path": s.path, "reason": s.reason} for s in a.skipped],
                    "parameters": a.parameters,
                }
                for a in self.attachments
            ],
        }
