"""Short headings for the kinds of issues that a check reports."""

from studio.core.messages import N_

ISSUE_TITLES = {
    "leakage": N_("Leakage"),
    "two-labels": N_("Conflicting labels"),
    "no-training-images": N_("No training images"),
    "unreadable": N_("Unreadable"),
    "truncated": N_("Truncated"),
    "empty": N_("Empty file"),
    "bomb": N_("Too large to open"),
    "vanished": N_("Missing file"),
    "extreme-shape": N_("Extreme shape"),
    "duplicate": N_("Exact copies"),
    "near-duplicate": N_("Near duplicates"),
    "imbalance": N_("Class imbalance"),
    "single-image": N_("Single image"),
    "missing-choice": N_("Missing images"),
    "empty-folder": N_("Empty folder"),
    "outside-classes": N_("Outside class folders"),
    "not-image": N_("Not an image"),
    "incomplete-row": N_("Incomplete row"),
    "link-loop": N_("Link loop"),
    "long-name": N_("Long name"),
    "name-not-unicode": N_("Name not Unicode"),
    "wrong-extension": N_("Wrong extension"),
    "animated": N_("Animated"),
    "rotated": N_("EXIF rotation"),
    "transparent": N_("Transparent"),
    "palette": N_("Palette"),
    "cmyk": N_("CMYK"),
    "deep": N_("High bit depth"),
    "tiny": N_("Tiny"),
    "huge": N_("Huge"),
    "elongated": N_("Elongated"),
}


def issue_title(kind: str) -> str:
    """Return the heading of an issue as a message.

    Return the name of the kind if it has no heading.
    """
    return ISSUE_TITLES.get(kind) or kind.replace("-", " ").capitalize()
