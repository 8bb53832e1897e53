"""What people type when they look for a backbone: names in their own spelling, families, sizes, and slips."""

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_SEPARATORS = re.compile(r"[\s_\-./]+")
_SHORT_WORD_LENGTH = 2
"""A word of so many letters at most is the beginning of a part of a name: the b of vit-b."""
_SIMILARITY_CUTOFF = 0.75


@dataclass(frozen=True, slots=True)
class SearchTerms:
    """How a backbone is called: its name and family run together, and the parts of both with its sizes."""

    name: str
    family: str
    parts: frozenset[str]

    def matches(self, words: Collection[str]) -> bool:
        """Whether it is meant by all of ``words``."""
        return all(self._matches_word(word) for word in words)

    def _matches_word(self, word: str) -> bool:
        if len(word) <= _SHORT_WORD_LENGTH and word.isalpha():
            return any(part.startswith(word) for part in self.parts)
        return word in self.name or word in self.family or word in self.parts

    def distance(self, words: tuple[str, ...]) -> int:
        """How far its name is from beginning with the words: 0 where it does, 1 with the first of them, 2 with none."""
        together = "".join(words)
        return 0 if self.name.startswith(together) else 1 if self.name.startswith(words[0]) else 2


def search_terms(name: str, family: str, sizes: Collection[str]) -> SearchTerms:
    """How a backbone called ``name``, of ``family`` and of ``sizes`` such as 224 or 86m, can be asked for."""
    parts = frozenset((*split_words(name), *split_words(family), *sizes))
    return SearchTerms("".join(split_words(name)), "".join(split_words(family)), parts)


def split_words(text: str) -> tuple[str, ...]:
    """The words in what was typed, however they are held together: "ViT-B/16" is vit, b and 16."""
    return tuple(word for word in _SEPARATORS.split(text.lower()) if word)


def correct_spelling(words: Collection[str], known: Collection[SearchTerms]) -> tuple[str, ...]:
    """``words`` with the nearest part of a name in place of each that nothing is called; empty where none is near."""
    return tuple(_closest_words(words, known))


def _closest_words(words: Collection[str], known: Collection[SearchTerms]) -> Iterator[str]:
    vocabulary = sorted({part for its in known for part in its.parts if not part.isdecimal()})
    for word in words:
        if any(its.matches((word,)) for its in known):
            yield word
        else:
            yield from difflib.get_close_matches(word, vocabulary, n=1, cutoff=_SIMILARITY_CUTOFF)
