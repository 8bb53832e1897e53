"""Names of the states of a run."""

from studio.core.messages import N_
from studio.ui.i18n.language import localized

STATES = {
    "running": N_("running"),
    "paused": N_("paused"),
    "completed": N_("completed"),
    "stopped": N_("stopped"),
    "failed": N_("failed"),
    "interrupted": N_("interrupted"),
}
"""Titles by the ``state`` of a row of the run registry."""


def state_text(state: str) -> str:
    """Return the translated title of ``state``; an unknown state stays as it is."""
    return localized(STATES.get(state, state))
