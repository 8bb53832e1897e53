"""Search for backbones by names in any spelling, families and sizes, with corrected spelling."""

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_SEPARATORS = re.compile(r"[\s_\-./]+")
_SHORT_WORD_LENGTH = 2
"""Words up to this length match the beginning of a part of a name, such as the b of vit-b."""
_SIMILARITY_CUTOFF = 0.75


@dataclass(frozen=True, slots=True)
class SearchTerms:
    """Searchable text of a backbone: name and family without separators, and the parts of both with its sizes."""

    name: str
    family: str
    parts: frozenset[str]

    def matches(self, words: Collection[str]) -> bool:
        """Return whether all of ``words`` match."""
        return all(self._matches_word(word) for word in words)

    def _matches_word(self, word: str) -> bool:
        if len(word) <= _SHORT_WORD_LENGTH and word.isalpha():
            return any(part.startswith(word) for part in self.parts)
        return word in self.name or word in self.family or word in self.parts

    def distance(self, words: tuple[str, ...]) -> int:
        """Return 0 if the name begins with all words, 1 if with the first, else 2."""
        together = "".join(words)
        return 0 if self.name.startswith(together) else 1 if self.name.startswith(words[0]) else 2


def search_terms(name: str, family: str, sizes: Collection[str]) -> SearchTerms:
    """Return the terms of a backbone with ``name``, ``family`` and ``sizes`` such as 224 or 86m."""
    parts = frozenset((*split_words(name), *split_words(family), *sizes))
    return SearchTerms("".join(split_words(name)), "".join(split_words(family)), parts)


def split_words(text: str) -> tuple[str, ...]:
    """Split typed text into words at any separator: "ViT-B/16" gives vit, b and 16."""
    return tuple(word for word in _SEPARATORS.split(text.lower()) if word)


def correct_spelling(words: Collection[str], known: Collection[SearchTerms]) -> tuple[str, ...]:
    """Return ``words`` with unknown ones replaced by the most similar part of a name, or left out."""
    return tuple(_closest_words(words, known))


def _closest_words(words: Collection[str], known: Collection[SearchTerms]) -> Iterator[str]:
    vocabulary = sorted({part for terms in known for part in terms.parts if not part.isdecimal()})
    for word in words:
        if any(terms.matches((word,)) for terms in known):
            yield word
        else:
            yield from difflib.get_close_matches(word, vocabulary, n=1, cutoff=_SIMILARITY_CUTOFF)
