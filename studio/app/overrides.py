"""Changes of recipe values by path, such as ``training.epochs=3``."""

from collections.abc import Iterable, Mapping
from typing import Any

from studio.core.attachment_spec import parse_assignment
from studio.core.errors import StudioError
from studio.core.recipe import Recipe


def apply_overrides(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """Return the recipe with each ``dotted.key=value`` applied.

    An attachment is addressed by its name or by its position, counted from 0.
    """
    return apply_values(recipe, dict(map(parse_assignment, assignments)))


def apply_values(recipe: Recipe, values: Mapping[str, Any], origin: str = "--set") -> Recipe:
    """Return the recipe with ``values`` by dotted key, as :func:`apply_overrides`.

    Raises StudioError, which names ``origin``, if a value is invalid.
    """
    raw = recipe.model_dump(by_alias=True)
    for path, value in values.items():
        _set_value(raw, path.split("."), value, path)
    return Recipe.from_mapping(raw, origin)


def _set_value(holder: Any, keys: list[str], value: Any, path: str) -> None:
    key, *rest = keys
    if isinstance(holder, list | tuple):
        return _set_value(_find_attachment(holder, key), rest, value, path) if rest else _raise_unknown_key(path)
    if not rest:
        holder[key] = value
        return None
    if not isinstance(holder.get(key), dict | list | tuple):
        return _raise_unknown_key(path)
    return _set_value(holder[key], rest, value, path)


def _find_attachment(attachments: list[Any] | tuple[Any, ...], key: str) -> Any:
    for position, item in enumerate(attachments):
        if key in (item["name"], str(position)):
            return item
    names = ", ".join(item["name"] for item in attachments)
    if not names:
        raise StudioError("unknown-name", "There is no attachment called '{name}'; the recipe has none.", name=key)
    raise StudioError(
        "unknown-name", "There is no attachment called '{name}'. Available: {names}.", name=key, names=names
    )


def _raise_unknown_key(path: str) -> None:
    raise StudioError("unknown-key", "There is no recipe value {key}. See the recipe.toml of any run.", key=path)
