"""The colours of both themes: what is written can be read on every ground that it stands on."""

import itertools

import pytest

from studio.ui.style.theme import DARK, LIGHT, Tokens

LEAST = 4.5
"""What the accessibility guidelines ask of text."""
GROUNDS = ("ground", "surface", "sunken", "hover", "accent_soft")
WRITTEN = ("text", "muted", "accent", "frozen", "adapter", "head", "good", "bad")
"""Not among them: ``faint``, for what is disabled, and for drawings."""
PAIRS = (
    *itertools.product(WRITTEN, GROUNDS),
    *((tone, f"{tone}_soft") for tone in ("frozen", "adapter", "head", "good", "bad")),
    *itertools.product(("text", "muted"), ("frozen_soft", "adapter_soft", "head_soft", "good_soft", "bad_soft")),
    *itertools.product(("second",), ("ground", "surface", "sunken", "hover")),
    ("on_accent", "accent"),
    ("on_accent", "accent_hover"),
    ("surface", "text"),
)


def contrast(tokens: Tokens, ink: str, ground: str) -> float:
    dark, light = sorted((brightness(tokens, ink), brightness(tokens, ground)))
    return (light + 0.05) / (dark + 0.05)


def brightness(tokens: Tokens, name: str) -> float:
    colour = tokens.color(name)
    parts = (colour.redF(), colour.greenF(), colour.blueF())
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
def test_what_is_written_can_be_read(tokens):
    low = {pair: round(found, 2) for pair in PAIRS if (found := contrast(tokens, *pair)) < LEAST}
    assert low == {}
