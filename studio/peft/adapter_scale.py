"""The strength of an attachment: 0 is off, 1 as trained, 2 twice the change."""

from collections.abc import Sequence

from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.peft.param_counts import HEAD
from studio.peft.patches import ModulePatch, Patch

MAX_STRENGTH = 2.0
"""The largest strength of an attachment."""


def not_scalable_reason(patches: Sequence[Patch], attachment: str) -> str:
    """Return why an attachment has no strength between off and on, as one sentence; empty if it has one."""
    if attachment == HEAD:
        return N_("The head has no strength: without it the model has no output.")
    own = [patch for patch in patches if patch.attachment == attachment]
    if not own:
        return N_("{attachment} changes no layer, so it has no strength.", attachment=attachment)
    layers = (patch.adapted_layer for patch in own if isinstance(patch, ModulePatch))
    return next((layer.not_scalable_reason for layer in layers if layer.not_scalable_reason), "")


def set_scale(patches: Sequence[Patch], attachment: str, strength: float) -> None:
    """Set the strength of ``attachment``; StudioError, with nothing changed, if it has none or it is out of range."""
    reason = not_scalable_reason(patches, attachment)
    if not 0 <= strength <= MAX_STRENGTH:
        raise StudioError(
            "bad-value",
            "Strength {strength} is out of range. Choose a value from 0 to {maximum}.",
            strength=f"{strength:g}",
            maximum=f"{MAX_STRENGTH:g}",
        )
    if reason and strength != 1:
        raise StudioError("not-scalable", reason)
    for patch in patches:
        if patch.attachment == attachment:
            patch.set_scale(strength)
