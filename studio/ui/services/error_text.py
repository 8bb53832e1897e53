"""Errors as texts for the window: what failed, with the code that its button is chosen by."""

import errno
from collections.abc import Iterator, Mapping
from functools import cache
from typing import get_args

from pydantic import BaseModel

from studio.core.errors import StudioError
from studio.core.messages import N_, Message
from studio.core.recipe import Recipe

UNEXPECTED = "unexpected"
_DISK_FULL = N_("Cannot write {file}: the disk is full. Make room on the disk and try again.")
_NO_PERMISSION = N_("No permission for {file}. Change its permissions, or choose another folder.")
_DISK_ERRORS = {
    errno.ENOSPC: ("disk-full", _DISK_FULL.template),
    errno.EFBIG: ("disk-full", _DISK_FULL.template),
    errno.EDQUOT: ("disk-full", _DISK_FULL.template),
    errno.EACCES: ("no-permission", _NO_PERMISSION.template),
    errno.EPERM: ("no-permission", _NO_PERMISSION.template),
    errno.EROFS: ("no-permission", _NO_PERMISSION.template),
}
_TITLES: Mapping[str, Message] = {"data.path": N_("Images")}
"""Values of the recipe that no field of a form sets."""


class ErrorText(Message):
    """The text of an error with its ``code``; ``recipe`` is the one that failed, if that is not the open one."""

    code: str = ""
    recipe: Recipe | None = None


def error_message(error: BaseException, recipe: Recipe | None = None) -> ErrorText:
    """Return the text of ``error``, which befell ``recipe`` if that is not the open one.

    Errors of ours keep their text, with the control's title in place of the recipe key; those of the system say the
    cause; all others are "unexpected".
    """
    code, message = _code_and_message(error)
    text = ErrorText.of(message.template, message.plural, message.values)
    text.code, text.recipe = code, recipe
    return text


def _code_and_message(error: BaseException) -> tuple[str, Message]:
    if isinstance(error, StudioError):
        return error.code, _with_title(error.message)
    if isinstance(error, MemoryError):
        return "memory-error", N_("Not enough memory. Close other programs and try again, or choose a smaller input.")
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        code, template = _DISK_ERRORS[error.errno]
        return code, N_(template, file=error.filename or N_("a file"))
    return UNEXPECTED, N_("Unexpected {kind}: {error}", kind=type(error).__name__, error=str(error))


def _with_title(message: Message) -> Message:
    """Return ``message`` with the title of the control instead of the recipe key."""
    key = message.values.get("key")
    if not isinstance(key, str) or key not in field_titles():
        return message
    return Message.of(message.template, message.plural, {**message.values, "key": field_titles()[key]})


@cache
def field_titles() -> Mapping[str, str]:
    """Return the titles of all values of the recipe by their dotted path."""
    return {**dict(_walk(Recipe, "")), **_TITLES}


def _walk(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    for name, info in model.model_fields.items():
        yield f"{prefix}{name}", info.title or name.replace("_", " ").capitalize()
        for kind in (info.annotation, *get_args(info.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _walk(kind, f"{prefix}{name}.")
