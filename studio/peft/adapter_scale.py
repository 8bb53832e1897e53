"""How strongly an attachment takes part: 0 not at all, 1 as it was trained, 2 twice as much."""

from collections.abc import Sequence

from studio.core.errors import StudioError
from studio.peft.param_counts import HEAD
from studio.peft.patches import ModulePatch, Patch

MAX_STRENGTH = 2.0
"""The largest strength of an attachment."""


def not_scalable_reason(patches: Sequence[Patch], attachment: str) -> str:
    """Why an attachment cannot take part by halves, in one sentence; empty where it can."""
    if attachment == HEAD:
        return "The head has no strength: without it there are no answers."
    own = [change for change in patches if change.attachment == attachment]
    if not own:
        return f"{attachment} adds nothing of its own, so it has no strength."
    layers = (change.adapted_layer for change in own if isinstance(change, ModulePatch))
    return next((layer.not_scalable_reason for layer in layers if layer.not_scalable_reason), "")


def set_scale(patches: Sequence[Patch], attachment: str, strength: float) -> None:
    """Set the strength of what belongs to ``attachment``; StudioError, with nothing changed, where it cannot be."""
    reason = not_scalable_reason(patches, attachment)
    if not 0 <= strength <= MAX_STRENGTH:
        raise StudioError(f"A strength is between 0 and {MAX_STRENGTH:g}, not {strength:g}.")
    if reason and strength != 1:
        raise StudioError(reason)
    for change in patches:
        if change.attachment == attachment:
            change.set_scale(strength)
