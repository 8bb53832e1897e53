"""How strongly an attachment takes part: 0 not at all, 1 as it was trained, 2 twice as much."""

from collections.abc import Sequence

from studio.core.errors import StudioError
from studio.peft.param_counts import HEAD
from studio.peft.patches import Change, Replacement

STRONGEST = 2.0
"""The largest strength of an attachment."""


def refusal(changes: Sequence[Change], attachment: str) -> str:
    """Why an attachment cannot take part by halves, in one sentence; empty where it can."""
    if attachment == HEAD:
        return "The head has no strength: without it there are no answers."
    own = [change for change in changes if change.attachment == attachment]
    if not own:
        return f"{attachment} adds nothing of its own, so it has no strength."
    layers = (change.adapted for change in own if isinstance(change, Replacement))
    return next((layer.strength_refusal for layer in layers if layer.strength_refusal), "")


def weigh(changes: Sequence[Change], attachment: str, strength: float) -> None:
    """Set the strength of what belongs to ``attachment``; StudioError, with nothing changed, where it cannot be."""
    reason = refusal(changes, attachment)
    if not 0 <= strength <= STRONGEST:
        raise StudioError(f"A strength is between 0 and {STRONGEST:g}, not {strength:g}.")
    if reason and strength != 1:
        raise StudioError(reason)
    for change in changes:
        if change.attachment == attachment:
            change.weigh(strength)
