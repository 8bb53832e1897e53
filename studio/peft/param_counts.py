"""Parameter counts of a backbone with attachments: trainable, total, and in the adapter file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from studio.peft.patches import ParameterPatch, Patch
from studio.peft.target_matching import MatchResult, SkippedLayer

HEAD = "head"
"""The name of the head among the attachments."""


@dataclass(frozen=True, slots=True)
class AttachmentCounts:
    """Layers of one attachment, skipped ones with reasons, and its trainable parameters at each site."""

    name: str
    method: str
    matched: tuple[str, ...]
    skipped: tuple[SkippedLayer, ...]
    parameters: int
    per_site: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParameterCounts:
    """All counts; ``adapter_bytes`` is the size of the tensors in the adapter file, head included."""

    total_parameters: int
    trainable_parameters: int
    adapter_bytes: int
    head_parameters: int
    attachments: tuple[AttachmentCounts, ...]

    @property
    def trainable_percent(self) -> float:
        """Trainable parameters in percent of the total."""
        return 100 * self.trainable_parameters / self.total_parameters if self.total_parameters else 0.0

    def as_json(self, backbone: str) -> dict[str, Any]:
        """Return the object that ``inspect --json`` prints."""
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
    """A tensor of the adapter, its attachment, and the site that it counts for."""

    attachment: str
    site: str
    tensor: Tensor

    @property
    def trainable(self) -> int:
        """Number of trainable parameters."""
        return self.tensor.numel() if self.tensor.requires_grad else 0

    @property
    def parameters(self) -> int:
        """Number of parameters, frozen ones included; 0 for a buffer."""
        return self.tensor.numel() if isinstance(self.tensor, nn.Parameter) else 0


def count_parameters(
    total: int, frozen: Sequence[nn.Parameter], matches: Mapping[str, MatchResult], patches: Sequence[Patch]
) -> ParameterCounts:
    """Count the ``patches`` made for ``matches`` in a backbone with ``total`` parameters, the ``frozen`` ones."""
    counted = list(_counted_tensors(patches))
    replaced = {id(patch.original) for patch in patches if isinstance(patch, ParameterPatch)}
    originals = sum(parameter.numel() for parameter in frozen if id(parameter) in replaced)
    return ParameterCounts(
        total_parameters=total + sum(item.parameters for item in counted) - originals,
        trainable_parameters=sum(item.trainable for item in counted),
        adapter_bytes=sum(item.tensor.numel() * item.tensor.element_size() for item in counted),
        head_parameters=sum(item.tensor.numel() for item in counted if item.attachment == HEAD),
        attachments=tuple(_count_attachment(name, match, counted) for name, match in matches.items()),
    )


def _counted_tensors(patches: Sequence[Patch]) -> Iterator[_CountedTensor]:
    """Yield each tensor once; a shared one at its first site."""
    seen: set[int] = set()
    for patch in patches:
        for tensor in patch.tensors().values():
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield _CountedTensor(patch.attachment, patch.site, tensor)


def _count_attachment(name: str, match_result: MatchResult, counted: Sequence[_CountedTensor]) -> AttachmentCounts:
    per_site: dict[str, int] = {}
    for item in counted:
        if item.attachment == name and item.trainable:
            per_site[item.site] = per_site.get(item.site, 0) + item.trainable
    return AttachmentCounts(
        name=name,
        method=match_result.method.name if match_result.method else "",
        matched=tuple(layer.path for layer in match_result.matched),
        skipped=match_result.skipped,
        parameters=sum(per_site.values()),
        per_site=per_site,
    )
