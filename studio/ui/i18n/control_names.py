"""What the window calls a value of the recipe, for sentences that name it as recipe files do."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import get_args

from pydantic import BaseModel

from studio.core.recipe import Recipe

_PATH = re.compile(r"(?<![\w./\\-])(?:backbone|data|head|training)(?:\.[a-z_]+)+")
_TITLES = {"data.path": "Images"}
"""Values that are set by something else than a field of a form."""


def with_control_names(sentence: str, say: Callable[[str], str]) -> str:
    """``sentence`` with ``training.batch_size`` as “Batch size”, each name as ``say`` puts it."""
    if "." not in sentence:
        return sentence
    return _PATH.sub(lambda found: f"“{say(_titles()[found[0]])}”" if found[0] in _titles() else found[0], sentence)


def title(name: str, own: str | None) -> str:
    """``Learning rate`` for ``learning_rate``, or the field's ``own`` title."""
    return own or name.replace("_", " ").capitalize()


@cache
def _titles() -> dict[str, str]:
    return {**dict(_walk(Recipe, "")), **_TITLES}


def _walk(model: type[BaseModel], before: str) -> Iterator[tuple[str, str]]:
    for name, info in model.model_fields.items():
        yield f"{before}{name}", title(name, info.title)
        for kind in (info.annotation, *get_args(info.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _walk(kind, f"{before}{name}.")
