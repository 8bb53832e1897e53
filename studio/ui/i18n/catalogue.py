"""A catalogue: the window's texts in English, each with its translation, and how a finished sentence finds its own."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import NamedTuple

_FEWEST_LETTERS = 4
"""A template with fewer letters of its own fits too much to be looked for in finished sentences."""
_NUMBER = r"[\d.,]+"
"""What ``{n}`` stands for: or else ``{n} images`` would fit every sentence that ends so."""
_DEPTH = 3
_JOINTS = re.compile(r"(\n+|\s*·\s*|(?<=[.?!]) (?=[A-Z]))")
"""Where a text that was put together may be taken apart: lines, dots between figures, sentences."""


class _Pattern(NamedTuple):
    """A template to look for: its longest own words, its rule, and its translation."""

    words: str
    rule: re.Pattern[str]
    translation: str


def read(path: Path) -> dict[str, str]:
    """All pairs of the catalogue in ``path``, whatever their sections; TOMLDecodeError where it is none."""
    sections = tomllib.loads(path.read_text(encoding="utf-8"))
    return {text: str(said) for pairs in sections.values() if isinstance(pairs, dict) for text, said in pairs.items()}


def names(template: str) -> list[str]:
    """The names in a template's braces, in order; none where braces are its own, as a pattern of layers has."""
    try:
        found = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError:
        return []
    return found if all(name.isidentifier() for name in found) else []


class Catalogue:
    """Finds the translation of a text: by itself, by the template that it was made from, or piece by piece."""

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self._pairs = dict(pairs)
        own = sorted(_patterns(self._pairs), key=lambda pattern: -len(pattern.rule.pattern))
        self._patterns = sorted(own, key=lambda pattern: -len(pattern.words))
        self._sought = lru_cache(maxsize=8192)(self._seek)

    def template(self, text: str) -> str | None:
        """The translation of a template or of a fixed text; None where there is none."""
        return self._pairs.get(text, self._pairs.get(_otherwise(text)))

    def sentence(self, text: str) -> str | None:
        """The translation of a finished text; None where nothing fits."""
        return self._sought(text, _DEPTH)

    def _seek(self, text: str, depth: int) -> str | None:
        if (known := self.template(text)) is not None:
            return known
        if depth == 0 or not any(letter.isalpha() for letter in text):
            return None
        pieces, said = self._in_pieces(text, depth)
        if pieces and all(s or not any(map(str.isalpha, piece)) for piece, s in zip(pieces, said, strict=True)):
            return _joined(pieces, said)
        return self._matched(text, depth) or (_joined(pieces, said) if any(said) else None)

    def _matched(self, text: str, depth: int) -> str | None:
        for pattern in self._patterns:
            if pattern.words in text and (found := pattern.rule.fullmatch(text)):
                values = {name: self._value(value, depth) for name, value in found.groupdict().items()}
                return _filled(pattern.translation, values)
        return None

    def _value(self, value: str, depth: int) -> str:
        """What stands in braces: a phrase may be a text of ours too, a single word may be anybody's."""
        return (self._sought(value, depth - 1) if " " in value else None) or value

    def _in_pieces(self, text: str, depth: int) -> tuple[list[str], list[str | None]]:
        """What ``text`` is put together of, with the translations; nothing where it is one piece."""
        pieces = _JOINTS.split(text)
        return (pieces, [self._sought(piece, depth - 1) for piece in pieces]) if len(pieces) > 1 else ([], [])


def _otherwise(text: str) -> str:
    """``text`` with a capital or without: a description stands in a form with one, a field in a sentence without."""
    first = text[:1]
    return (first.lower() if first.isupper() else first.upper()) + text[1:]


def _joined(pieces: list[str], said: list[str | None]) -> str:
    return "".join(s or piece for piece, s in zip(pieces, said, strict=True))


def _patterns(pairs: Mapping[str, str]) -> Iterator[_Pattern]:
    for template, translation in pairs.items():
        if not names(template):
            continue
        parts = list(Formatter().parse(template))
        own = [words for words, *_ in parts]
        if sum(letter.isalpha() for words in own for letter in words) < _FEWEST_LETTERS:
            continue
        yield _Pattern(max(own, key=len), re.compile(_rule(parts), re.DOTALL), translation)


def _rule(parts: list[tuple[str, str | None, str | None, str | None]]) -> str:
    seen: set[str] = set()
    rule = ""
    for words, name, _, _ in parts:
        rule += re.escape(words)
        if name is not None:
            rule += f"(?P={name})" if name in seen else f"(?P<{name}>{_NUMBER if name == 'n' else '.+?'})"
            seen.add(name)
    return rule


def _filled(template: str, values: Mapping[str, str]) -> str:
    """``template`` with values that are texts already: what it says of their form is left out."""
    return "".join(words + (values[name] if name else "") for words, name, _, _ in Formatter().parse(template))
