"""Texts for people: English below the window, translated where the window shows them.

A :class:`Message` is the English text and remembers the template and the values that it was made of. Everything below
the window uses it as the ``str`` that it is; the window looks the template up in its catalog and fills the values in.
A plain ``str`` is a value, such as a path or a class name, and is never translated.
"""

from collections.abc import Mapping
from typing import Self


class Message(str):
    """An English text with its ``template``, its ``plural`` template (empty for none) and its ``values``."""

    template: str
    plural: str
    values: Mapping[str, object]

    @classmethod
    def of(cls, template: str, plural: str, values: Mapping[str, object]) -> Self:
        """Return the message of ``template``, or of ``plural`` if the value ``n`` is not 1."""
        chosen = plural if plural and values.get("n") != 1 else template
        message = cls(chosen.format_map(values) if values else chosen)
        message.template, message.plural, message.values = template, plural, values
        return message


def N_(template: str, /, **values: object) -> Message:
    """Mark ``template`` for translation and fill ``values`` in; without values braces are plain text."""
    return Message.of(template, "", values)


def N_n(singular: str, plural: str, n: int, /, **values: object) -> Message:
    """Mark a text with a number for translation: ``singular`` if ``n`` is 1, else ``plural``; both may hold ``{n}``."""
    return Message.of(singular, plural, {"n": n, **values})
