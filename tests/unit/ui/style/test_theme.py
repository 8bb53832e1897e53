"""The colors of both themes: text is readable on each background that it appears on."""

import itertools

import pytest

from studio.ui.style.theme import DARK, LIGHT, Tokens

MIN_CONTRAST = 4.5
"""Contrast that WCAG 2 requires of text."""
GROUNDS = ("ground", "surface", "sunken", "hover", "accent_soft")
WRITTEN = ("text", "muted", "accent", "frozen", "adapter", "head", "good", "bad")
"""Without ``faint``, the color of disabled controls and drawings."""
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
    color = tokens.color(name)
    parts = (color.redF(), color.greenF(), color.blueF())
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
def test_text_is_readable_on_its_background(tokens):
    low = {pair: round(found, 2) for pair in PAIRS if (found := contrast(tokens, *pair)) < MIN_CONTRAST}
    assert low == {}
