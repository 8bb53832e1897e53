"""Menus whose entries can each be chosen with a letter."""

import re
from collections.abc import Iterable, Iterator
from string import ascii_uppercase, digits

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

_MNEMONIC = re.compile(r"\(&\w\)|(&&)|&")
_MARKED = re.compile(r"(?<!&)(?:&&)*&([^&\s])")


class Menu(QMenu):
    """A menu that gives each entry without a mnemonic one of its own."""

    def __init__(self, parent: QWidget | None = None, title: str = "") -> None:
        super().__init__(title, parent)
        self.aboutToShow.connect(self._assign_mnemonics)

    def _assign_mnemonics(self) -> None:
        assign_mnemonics(self.actions())


def assign_mnemonics(actions: Iterable[QAction]) -> None:
    """Give each action without a mnemonic a letter that no other one has."""
    entries = [action for action in actions if action.text() and not action.isSeparator()]
    taken = {marked[1].upper() for action in entries if (marked := _MARKED.search(action.text()))}
    for action in entries:
        if _MARKED.search(action.text()):
            continue
        letter = next((letter for letter in _candidates(action.text()) if letter not in taken), "")
        if letter:
            taken.add(letter)
            action.setText(_with_mnemonic(action.text(), letter))


def strip_mnemonic(text: str) -> str:
    """Return the text of a menu entry without its mnemonic; a doubled ampersand stays."""
    return _MNEMONIC.sub(lambda found: found[1] or "", text)


def _candidates(text: str) -> Iterator[str]:
    """Yield the letters to try: first letters of words, other letters, then any.

    A text in another script gets a number: the letters in it belong to names.
    """
    if not any(map(_is_ideograph, text)):
        letters = [letter for letter in text.upper() if letter.isascii() and letter.isalnum()]
        yield from (word[0].upper() for word in text.split() if word[0].isascii() and word[0].isalnum())
        yield from letters
    yield from (*digits[1:], *ascii_uppercase)


def _is_ideograph(letter: str) -> bool:
    return "\u2e80" <= letter <= "\u9fff"


def _with_mnemonic(text: str, letter: str) -> str:
    """Return ``&File``, or ``文件(&1)`` for a letter that is not taken from the text."""
    found = re.search(rf"\b{letter}", text, re.IGNORECASE | re.ASCII) or re.search(letter, text, re.IGNORECASE)
    if found and not any(map(_is_ideograph, text)):
        return f"{text[: found.start()]}&{text[found.start() :]}"
    dots = "…" if text.endswith("…") else ""
    return f"{text.removesuffix('…')}(&{letter}){dots}"
