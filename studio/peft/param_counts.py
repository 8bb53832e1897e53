"""Counts of an attached backbone: what trains, what is frozen, what goes into the file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from studio.peft.patches import ParameterPatch, Patch
from studio.peft.target_matching import MatchResult, SkippedLayer

HEAD = "head"
"""What the head is called among the attachments."""


@dataclass(frozen=True, slots=True)
class AttachmentCounts:
    """One attachment: where it is, where it is not and why, and how many trainable parameters it has at each site."""

    name: str
    method: str
    matched: tuple[str, ...]
    skipped: tuple[SkippedLayer, ...]
    parameters: int
    per_site: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParameterCounts:
    """All counts. ``adapter_bytes`` is the size of the tensors that the adapter file holds, head included."""

    total_parameters: int
    trainable_parameters: int
    adapter_bytes: int
    head_parameters: int
    attachments: tuple[AttachmentCounts, ...]

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
class _CountedTensor:
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


def count_parameters(
    total: int, frozen: Sequence[nn.Parameter], matches: Mapping[str, MatchResult], patches: Sequence[Patch]
) -> ParameterCounts:
    """Count ``changes`` to a backbone of ``total`` parameters, which are ``frozen``, made for ``resolutions``."""
    parts = list(_counted_tensors(patches))
    replaced = {id(change.original) for change in patches if isinstance(change, ParameterPatch)}
    gone = sum(parameter.numel() for parameter in frozen if id(parameter) in replaced)
    return ParameterCounts(
        total_parameters=total + sum(part.parameters for part in parts) - gone,
        trainable_parameters=sum(part.trainable for part in parts),
        adapter_bytes=sum(part.tensor.numel() * part.tensor.element_size() for part in parts),
        head_parameters=sum(part.tensor.numel() for part in parts if part.attachment == HEAD),
        attachments=tuple(_count_attachment(name, resolution, parts) for name, resolution in matches.items()),
    )


def _counted_tensors(patches: Sequence[Patch]) -> Iterator[_CountedTensor]:
    """Each tensor once; shared ones at their first site."""
    seen: set[int] = set()
    for change in patches:
        for tensor in change.tensors().values():
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield _CountedTensor(change.attachment, change.site, tensor)


def _count_attachment(name: str, match_result: MatchResult, parts: Sequence[_CountedTensor]) -> AttachmentCounts:
    per_site: dict[str, int] = {}
    for part in parts:
        if part.attachment == name and part.trainable:
            per_site[part.site] = per_site.get(part.site, 0) + part.trainable
    return AttachmentCounts(
        name=name,
        method=match_result.method.name if match_result.method else "",
        matched=tuple(layer.path for layer in match_result.matched),
        skipped=match_result.skipped,
        parameters=sum(per_site.values()),
        per_site=per_site,
    )
