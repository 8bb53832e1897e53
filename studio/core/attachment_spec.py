"""Attachments as one line of text: ``lora@blocks.*.attn.qkv:q,v,rank=4``."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Slice

SPEC_FORM = "METHOD@TARGET[+TARGET…][:SLICES][,field=value…]"
_STRING = r'"(?:\\.|[^"\\])*"'
_TOKENS = re.compile(rf'(?:{_STRING}|\[(?:{_STRING}|[^\]"])*\]|\{{(?:{_STRING}|[^}}"])*\}}|[^,])+')
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_BOOLEANS = {"True": True, "False": False}


@dataclass(frozen=True, slots=True)
class AttachmentSpec:
    """An attachment line; without ``targets`` the method's default is meant."""

    method: str
    targets: tuple[str, ...]
    slices: tuple[Slice, ...]
    config: dict[str, Any]


def parse_spec(text: str) -> AttachmentSpec:
    """Parse a line of the form :data:`SPEC_FORM`; StudioError if it is of another."""
    first, *rest = _TOKENS.findall(text.strip()) or [""]
    method, _, place = first.partition("@")
    joined, _, slices = place.partition(":")
    targets = tuple(target.strip() for target in joined.split("+")) if joined.strip() else ()
    if not method or ("@" in first and not all(targets or ("",))):
        raise StudioError("bad-attachment", "'{text}' is not of the form {form}.", text=text, form=SPEC_FORM)
    slices += "".join(token.strip() for token in rest if "=" not in token)
    unknown = sorted(set(slices) - set("qkv"))
    if unknown:
        raise StudioError(
            "bad-attachment",
            "'{text}' has unknown slices: {slices}. The slices are q, k and v.",
            text=text,
            slices=", ".join(unknown),
        )
    config = dict(parse_assignment(token) for token in rest if "=" in token)
    return AttachmentSpec(method.strip(), targets, cast(tuple[Slice, ...], tuple(dict.fromkeys(slices))), config)


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split ``key=value`` and read the value as TOML; a bare word is a string.

    ``True`` and ``False`` are booleans too.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise StudioError("bad-assignment", "'{text}' is not of the form key=value.", text=text)
    value = value.strip()
    if value in _BOOLEANS:
        return key.strip(), _BOOLEANS[value]
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value


def format_spec(attachment: Attachment) -> str:
    """Return the line of an attachment, of which :func:`parse_spec` is the inverse."""
    slices = f":{','.join(attachment.slices)}" if attachment.slices else ""
    fields = "".join(f",{format_assignment(key, value)}" for key, value in attachment.config.items())
    return f"{attachment.method}@{'+'.join(attachment.at)}{slices}{fields}"


def format_assignment(key: str, value: object) -> str:
    """Return ``key=value``, of which :func:`parse_assignment` is the inverse."""
    bare = isinstance(value, str) and _BARE.fullmatch(value)
    if bare and parse_assignment(f"{key}={value}") == (key, value):
        return f"{key}={value}"
    return f"{key}={_toml(value)}"


def _toml(value: object) -> str:
    """Return ``value`` as TOML on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_quoted(str(key))}={_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_toml, value)) + "]"
    return repr(value) if isinstance(value, int | float) else _quoted(str(value))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
