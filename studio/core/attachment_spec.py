"""Attachments on one line, as one writes them on the command line: ``lora@blocks.*.attn.qkv:q,v,rank=4``."""

import re
import tomllib
from dataclasses import dataclass
from typing import Any, cast

from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Slice

SPEC_FORM = "METHOD@TARGET[:SLICES][,field=value…]"
_TOKENS = re.compile(r'(?:"[^"]*"|\[[^\]]*\]|[^,])+')


@dataclass(frozen=True, slots=True)
class AttachmentSpec:
    """One attachment as it was written; ``target`` is empty where the method's default is meant."""

    method: str
    target: str
    slices: tuple[Slice, ...]
    config: dict[str, Any]


def parse_spec(text: str) -> AttachmentSpec:
    """Read ``METHOD[@TARGET[:SLICES]][,field=value…]``; StudioError where it is not of that form."""
    first, *rest = _TOKENS.findall(text.strip()) or [""]
    method, _, where = first.partition("@")
    target, _, slices = where.partition(":")
    if not method or ("@" in first and not target):
        raise StudioError(f"The attachment {text!r} is not of the form {SPEC_FORM}.")
    slices += "".join(token.strip() for token in rest if "=" not in token)
    unknown = sorted(set(slices) - set("qkv"))
    if unknown:
        raise StudioError(f"The attachment {text!r} names {', '.join(unknown)}, but the slices are q, k and v.")
    config = dict(parse_assignment(token) for token in rest if "=" in token)
    return AttachmentSpec(method.strip(), target.strip(), cast(tuple[Slice, ...], tuple(dict.fromkeys(slices))), config)


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split ``key=value`` and read the value as TOML does; a bare word is a string."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise StudioError(f"{text!r} is not of the form key=value.")
    try:
        return key.strip(), tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def format_spec(attachment: Attachment) -> str:
    """The line of an attachment; where it has several targets they stand side by side."""
    slices = f":{','.join(attachment.slices)}" if attachment.slices else ""
    fields = "".join(f",{key}={value}" for key, value in attachment.config.items())
    return f"{attachment.method}@{' '.join(attachment.at)}{slices}{fields}"
