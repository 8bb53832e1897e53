"""Licenses of pretrained weights, as far as their names tell."""

from studio.core.messages import N_

NOT_STATED = N_("not stated")

_RESEARCH_ONLY = ("apple-amlr", "seer-license")
"""Research-only licenses whose names do not tell: Apple's for machine learning research, Meta's of SEER."""


def license_name(license_id: str | None) -> str:
    """Return the name of the license; "not stated" if there is none."""
    return NOT_STATED if license_id in (None, "", "unknown") else str(license_id)


def is_non_commercial(license_id: str) -> bool:
    """Return whether the license forbids commercial use: Creative Commons NC, and research-only licenses."""
    name = license_id.lower()
    return "nc" in name.split("-") or "noncommercial" in name.replace("-", "") or name in _RESEARCH_ONLY
