"""From an attachment in a recipe to its layers, with a reason for each layer that is skipped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from studio.core.errors import StudioError
from studio.core.layers import Layer
from studio.core.messages import N_, N_n
from studio.core.recipe import Attachment
from studio.peft.contract import METHODS, Method, MethodConfig
from studio.peft.targets import match_layers, unsupported_reason


@dataclass(frozen=True, slots=True)
class SkippedLayer:
    """A layer that a pattern matches and the method does not support."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class MatchResult:
    """The layers of an attachment on one backbone. ``problem`` says why it cannot be used; empty if it can."""

    method: Method[Any] | None = None
    config: MethodConfig | None = None
    matched: tuple[Layer, ...] = ()
    skipped: tuple[SkippedLayer, ...] = ()
    problem: str = ""


def match_targets(attachment: Attachment, layers: Sequence[Layer]) -> MatchResult:
    """Look up the method, check its fields, and split the layers that match into supported and skipped ones."""
    try:
        method = METHODS.get(attachment.method)
        config = method.configure(attachment.config)
    except StudioError as error:
        return MatchResult(problem=error.message)
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
        return N_n(
            "{method} does not support the layer that {targets} matches: {reason}",
            "{method} supports none of the {n} layers that {targets} matches: {reason}",
            len(skipped),
            method=attachment.method,
            targets=targets,
            reason=skipped[0].reason,
        )
    return N_("No layer matches {targets}. See the layer tree for the layers of this backbone.", targets=targets)
