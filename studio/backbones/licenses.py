"""What the licences of pretrained weights allow, as far as their names say."""

NOT_STATED = "not stated"

_RESEARCH_ONLY = ("apple-amlr", "seer-license")
"""Licences for research only whose names do not say so: Apple's for machine learning research, Meta's of SEER."""


def license_name(license_id: str | None) -> str:
    """The licence as its makers name it; "not stated" where they do not."""
    return NOT_STATED if license_id in (None, "", "unknown") else str(license_id)


def is_non_commercial(license_id: str) -> bool:
    """Whether the licence forbids commercial use: Creative Commons NC, and what is for research alone."""
    name = license_id.lower()
    return "nc" in name.split("-") or "noncommercial" in name.replace("-", "") or name in _RESEARCH_ONLY
