"""Edits of a recipe: each returns the changed recipe and leaves the old one as it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from studio.app.overrides import apply_values
from studio.core.recipe import Attachment, Data, Recipe


def with_value(recipe: Recipe, path: str, value: Any) -> Recipe:
    """Return ``recipe`` with another value at ``path``, such as ``training.epochs``; raise StudioError if invalid."""
    return apply_values(recipe, {path: value}, origin="")


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
    return Recipe.from_mapping(raw, origin="")
