"""Menus whose entries can each be chosen with a letter."""

import re
from collections.abc import Iterable, Iterator
from string import ascii_uppercase, digits

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from studio.ui.i18n.language import language

_MARK = re.compile(r"\(&\w\)|(&&)|&")


class Menu(QMenu):
    """A menu that gives each of its entries a letter of its own when it opens."""

    def __init__(self, parent: QWidget | None = None, words: str = "") -> None:
        super().__init__(words, parent)
        self.aboutToShow.connect(self._mark)

    def _mark(self) -> None:
        mark(self.actions())


def mark(actions: Iterable[QAction]) -> None:
    """Give each of ``actions`` a letter that none of the others has, as long as there are letters."""
    taken: set[str] = set()
    for action in actions:
        words = unmarked(action.text())
        if action.isSeparator() or not words:
            continue
        letter = next((letter for letter in _wished(language().source(words)) if letter not in taken), "")
        taken.add(letter)
        action.setText(_marked(words, letter) if letter else words)


def unmarked(words: str) -> str:
    """A text of a menu without the mark of its letter; an ampersand of its own stays doubled."""
    return _MARK.sub(lambda found: found[1] or "", words)


def _wished(english: str) -> Iterator[str]:
    """The letters to try: those that words begin with, then all others of the text, then any."""
    letters = [letter for letter in english.upper() if letter.isascii() and letter.isalnum()]
    yield from (word[0].upper() for word in english.split() if word[0].isascii() and word[0].isalnum())
    yield from (*letters, *digits[1:], *ascii_uppercase)


def _marked(words: str, letter: str) -> str:
    """``&File`` or, where the letter is not in the text, ``文件(&F)``."""
    found = re.search(rf"\b{letter}", words, re.IGNORECASE | re.ASCII) or re.search(letter, words, re.IGNORECASE)
    if found:
        return f"{words[: found.start()]}&{words[found.start() :]}"
    dots = "…" if words.endswith("…") else ""
    return f"{words.removesuffix('…')}(&{letter}){dots}"
