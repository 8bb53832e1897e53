"""Menus whose entries can each be chosen with a letter."""

import re
from collections.abc import Iterable, Iterator
from string import ascii_uppercase, digits

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

_MNEMONIC = re.compile(r"\(&\w\)|(&&)|&")


class Menu(QMenu):
    """A menu that gives each of its entries a letter of its own when it opens."""

    def __init__(self, parent: QWidget | None = None, title: str = "") -> None:
        super().__init__(title, parent)
        self.aboutToShow.connect(self._assign_mnemonics)

    def _assign_mnemonics(self) -> None:
        assign_mnemonics(self.actions())


def assign_mnemonics(actions: Iterable[QAction]) -> None:
    """Give each of ``actions`` a letter that none of the others has, as long as there are letters."""
    taken: set[str] = set()
    for action in actions:
        words = strip_mnemonic(action.text())
        if action.isSeparator() or not words:
            continue
        letter = next((letter for letter in _mnemonic_candidates(words) if letter not in taken), "")
        taken.add(letter)
        action.setText(_with_mnemonic(words, letter) if letter else words)


def strip_mnemonic(text: str) -> str:
    """A text of a menu without the mark of its letter; an ampersand of its own stays doubled."""
    return _MNEMONIC.sub(lambda found: found[1] or "", text)


def _mnemonic_candidates(english: str) -> Iterator[str]:
    """The letters to try: those that words begin with, then all others of the text, then any."""
    letters = [letter for letter in english.upper() if letter.isascii() and letter.isalnum()]
    yield from (word[0].upper() for word in english.split() if word[0].isascii() and word[0].isalnum())
    yield from (*letters, *digits[1:], *ascii_uppercase)


def _with_mnemonic(text: str, letter: str) -> str:
    """``&File`` or, where the letter is not in the text, ``文件(&F)``."""
    found = re.search(rf"\b{letter}", text, re.IGNORECASE | re.ASCII) or re.search(letter, text, re.IGNORECASE)
    if found:
        return f"{text[: found.start()]}&{text[found.start() :]}"
    dots = "…" if text.endswith("…") else ""
    return f"{text.removesuffix('…')}(&{letter}){dots}"
