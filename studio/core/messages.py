"""Texts for people: English below the window, translated in the window.

A :class:`Message` is the English text and remembers the template and the values that it was made of. Everything below
the window uses it as the ``str`` that it is; the window looks the template up in its catalog and fills the values in.
A plain ``str`` is a value, such as a path or a class name, and is never translated.
"""

from collections.abc import Mapping
from typing import Any, Self


class Message(str):
    """An English text with its ``template`` and its ``values``.

    ``plural`` is the template of its plural, empty for none.
    """

    template: str
    plural: str
    values: Mapping[str, object]

    @classmethod
    def of(cls, template: str, plural: str, values: Mapping[str, object]) -> Self:
        """Return the message of ``template``, or of ``plural`` if ``n`` is not 1."""
        chosen = plural if plural and values.get("n") != 1 else template
        message = cls(chosen.format_map(values) if values else chosen)
        message.template, message.plural, message.values = template, plural, values
        return message

    def to_json(self) -> dict[str, Any]:
        """Return the template and the values as JSON data, for :func:`restore_message`."""
        values = {name: _value_to_json(value) for name, value in self.values.items()}
        return {"template": self.template, "plural": self.plural, "values": values}


def N_(template: str, /, **values: object) -> Message:
    """Mark ``template`` for translation and fill in ``values``.

    Without values braces are plain text.
    """
    return Message.of(template, "", values)


def N_n(singular: str, plural: str, n: int, /, **values: object) -> Message:
    """Mark a text with a number for translation.

    It is ``singular`` if ``n`` is 1, else ``plural``; both may contain ``{n}``.
    """
    return Message.of(singular, plural, {"n": n, **values})


def restore_message(text: str, raw: object) -> str:
    """Return ``text`` as the :class:`Message` that ``raw`` came from, else as it is.

    ``raw`` is what :meth:`Message.to_json` returned, maybe written by another version.
    """
    if not isinstance(raw, Mapping) or not isinstance(raw.get("template"), str):
        return text
    plural, values = raw.get("plural"), raw.get("values")
    message = Message(text)
    message.template, message.plural = raw["template"], plural if isinstance(plural, str) else ""
    message.values = {str(k): _value_from_json(v) for k, v in values.items()} if isinstance(values, Mapping) else {}
    return message


def _value_to_json(value: object) -> object:
    if isinstance(value, Message):
        return {"text": str(value), **value.to_json()}
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    return value if isinstance(value, str | int | None) else str(value)


def _value_from_json(value: object) -> object:
    return restore_message(str(value.get("text", "")), value) if isinstance(value, Mapping) else value
