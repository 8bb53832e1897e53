"""Edits of a recipe: each returns the changed recipe and leaves the old one as it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from studio.core.recipe import Attachment, Data, Recipe
from studio.core.validation import bad_value


def with_value(recipe: Recipe, path: str, value: Any) -> Recipe:
    """Return ``recipe`` with another value at ``path``, such as ``training.epochs``; raise StudioError if invalid."""
    raw = recipe.model_dump(by_alias=True)
    *tables, key = path.split(".")
    table = raw
    for name in tables:
        table = table[name]
    table[key] = value
    return _validated(raw)


def with_data(recipe: Recipe, data: Data) -> Recipe:
    """Return ``recipe`` with other images, or other decisions about them."""
    return recipe.model_copy(update={"data": data})


def with_attachments(recipe: Recipe, added: Sequence[Attachment]) -> Recipe:
    """Return ``recipe`` with more attachments at the end."""
    return recipe.model_copy(update={"attachments": (*recipe.attachments, *added)})


def without_attachments(recipe: Recipe, names: set[str]) -> Recipe:
    """Return ``recipe`` without the attachments called ``names``."""
    return recipe.model_copy(update={"attachments": tuple(a for a in recipe.attachments if a.name not in names)})


def with_changed_attachments(recipe: Recipe, changes: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """Return ``recipe`` with other values in the attachments of ``changes``; raise StudioError if one is invalid."""
    raw = recipe.model_dump(by_alias=True)
    raw["attachments"] = [a | dict(changes.get(a["name"], {})) for a in raw["attachments"]]
    return _validated(raw)


def _validated(raw: dict[str, Any]) -> Recipe:
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise bad_value(error) from error
