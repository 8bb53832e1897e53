"""From an attachment in a recipe to the layers it attaches to, with the reason for each miss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from studio.core.errors import StudioError
from studio.core.layers import Layer
from studio.core.recipe import Attachment
from studio.peft.contract import METHODS, Method, MethodConfig
from studio.peft.targets import match_layers, unsupported_reason


@dataclass(frozen=True, slots=True)
class SkippedLayer:
    """A layer that a pattern matches and the method refuses."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class MatchResult:
    """What an attachment comes to on one backbone. ``problem`` is a sentence where it cannot be used, else empty."""

    method: Method[Any] | None = None
    config: MethodConfig | None = None
    matched: tuple[Layer, ...] = ()
    skipped: tuple[SkippedLayer, ...] = ()
    problem: str = ""


def match_targets(attachment: Attachment, layers: Sequence[Layer]) -> MatchResult:
    """Find the method, check its fields, and sort the layers that the patterns match into accepted and refused."""
    try:
        method = METHODS.get(attachment.method)
        config = method.configure(attachment.config)
    except StudioError as error:
        return MatchResult(problem=str(error))
    found = match_layers(attachment.at, layers)
    reasons = {layer.path: unsupported_reason(method, layer, config, attachment.slices) for layer in found}
    matched = tuple(layer for layer in found if not reasons[layer.path])
    skipped = tuple(SkippedLayer(path, reason) for path, reason in reasons.items() if reason)
    return MatchResult(method, config, matched, skipped, _problem(attachment, matched, skipped))


def _problem(attachment: Attachment, matched: tuple[Layer, ...], skipped: tuple[SkippedLayer, ...]) -> str:
    targets = ", ".join(attachment.at)
    if matched:
        return ""
    if skipped:
        reason = skipped[0].reason
        return f"{attachment.method} attaches to none of the {len(skipped)} layers that {targets} matches: {reason}"
    return f"No layer matches {targets}; see the layer tree for the names that this backbone has."
