"""Counts of an attached backbone: what trains, what is frozen, what goes into the file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from studio.peft.patches import Change, Retraining
from studio.peft.target_matching import Resolution, Skipped

HEAD = "head"
"""What the head is called among the attachments."""


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


@dataclass(frozen=True, slots=True)
class _Part:
    """A tensor of the adapter: whose it is, and the layer of the recipe that it counts for."""

    attachment: str
    site: str
    tensor: Tensor

    @property
    def trainable(self) -> int:
        """Its trainable parameters."""
        return self.tensor.numel() if self.tensor.requires_grad else 0

    @property
    def parameters(self) -> int:
        """Its parameters, frozen ones included; a buffer has none."""
        return self.tensor.numel() if isinstance(self.tensor, nn.Parameter) else 0


def count(
    total: int, frozen: Sequence[nn.Parameter], resolutions: Mapping[str, Resolution], changes: Sequence[Change]
) -> Census:
    """Count ``changes`` to a backbone of ``total`` parameters, which are ``frozen``, made for ``resolutions``."""
    parts = list(_parts(changes))
    replaced = {id(change.original) for change in changes if isinstance(change, Retraining)}
    gone = sum(parameter.numel() for parameter in frozen if id(parameter) in replaced)
    return Census(
        total_parameters=total + sum(part.parameters for part in parts) - gone,
        trainable_parameters=sum(part.trainable for part in parts),
        adapter_bytes=sum(part.tensor.numel() * part.tensor.element_size() for part in parts),
        head_parameters=sum(part.tensor.numel() for part in parts if part.attachment == HEAD),
        attachments=tuple(_of_one(name, resolution, parts) for name, resolution in resolutions.items()),
    )


def _parts(changes: Sequence[Change]) -> Iterator[_Part]:
    """Each tensor once; shared ones at their first site."""
    seen: set[int] = set()
    for change in changes:
        for tensor in change.tensors().values():
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield _Part(change.attachment, change.site, tensor)


def _of_one(name: str, resolution: Resolution, parts: Sequence[_Part]) -> AttachmentCensus:
    per_site: dict[str, int] = {}
    for part in parts:
        if part.attachment == name and part.trainable:
            per_site[part.site] = per_site.get(part.site, 0) + part.trainable
    return AttachmentCensus(
        name=name,
        method=resolution.method.name if resolution.method else "",
        matched=tuple(layer.path for layer in resolution.matched),
        skipped=resolution.skipped,
        parameters=sum(per_site.values()),
        per_site=per_site,
    )
