"""The recipes of a sweep: a grid over values of one recipe, a preset, and seeds."""

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from studio.app.overrides import apply_values
from studio.core.attachment_spec import parse_assignment
from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Recipe
from studio.core.run import slug

if TYPE_CHECKING:
    from studio.app.inspection import Inspector

RANKS = (2, 4, 8, 16, 32)
ADAPTER_METHOD = "pfeiffer"


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One run of a sweep; ``name`` lists its values and is the name of its folder."""

    name: str
    recipe: Recipe


def expand_grid(recipe: Recipe, axes: Sequence[str] = (), preset: str = "", seeds: int = 1) -> list[SweepPoint]:
    """Return each combination of the ``key=value,value`` axes, with preset and seeds.

    Raises StudioError if a key or value is wrong, the preset does not fit, or two points would be the same.
    """
    grid = _grid(recipe, axes)
    varied = [point for one in grid for point in (PRESETS[preset](one) if preset else [one])]
    points = [seeded for point in varied for seeded in _with_seeds(point, seeds)]
    names = [point.name for point in points]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise StudioError(
            "duplicate-name", "Two points of the sweep would be called {name}. List each value once.", name=twice
        )
    return points


def _grid(recipe: Recipe, axes: Sequence[str]) -> list[SweepPoint]:
    parsed = [parse_axis(text) for text in axes]
    keys = [key for key, _ in parsed]
    combinations = product(*(values for _, values in parsed))
    return [_with_values(SweepPoint("", recipe), dict(zip(keys, values, strict=True))) for values in combinations]


def parse_axis(text: str) -> tuple[str, list[Any]]:
    """Parse ``key=2,4,8`` into the key and its values; words need no quotes."""
    key, equals, written = text.partition("=")
    if not equals or not key.strip() or not written.strip():
        raise StudioError("bad-assignment", "'{text}' is not of the form key=value,value.", text=text)
    try:
        return key.strip(), tomllib.loads(f"values = [{written}]")["values"]
    except tomllib.TOMLDecodeError:
        return key.strip(), [parse_assignment(f"{key}={value}")[1] for value in written.split(",")]


def _with_values(point: SweepPoint, values: Mapping[str, Any]) -> SweepPoint:
    recipe = apply_values(point.recipe, values)
    return _derive_point(point, recipe, *(f"{_short_key(key, values)}-{value}" for key, value in values.items()))


def _derive_point(point: SweepPoint, recipe: Recipe, *parts: str) -> SweepPoint:
    return SweepPoint("_".join(slug(part) for part in (point.name, *parts) if part), recipe)


def _short_key(key: str, keys: Iterable[str]) -> str:
    """Return the last part of the key if it is unique among ``keys``, else the key."""
    last = key.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in keys) == 1 else key


def _with_seeds(point: SweepPoint, seeds: int) -> list[SweepPoint]:
    first = point.recipe.training.seed
    if seeds == 1:
        return [point if point.name else SweepPoint("run", point.recipe)]
    return [_with_values(point, {"training.seed": first + i}) for i in range(seeds)]


def _rank_points(point: SweepPoint) -> list[SweepPoint]:
    names = [a.name for a in point.recipe.attachments if a.enabled and "rank" in _config_fields(a)]
    if not names:
        raise StudioError(
            "unsupported-recipe", "No attachment of the recipe has a rank. Attach LoRA or another method with a rank."
        )
    recipes = [apply_values(point.recipe, {f"attachments.{name}.rank": rank for name in names}) for rank in RANKS]
    return [_derive_point(point, recipe, f"rank-{rank}") for rank, recipe in zip(RANKS, recipes, strict=True)]


def _config_fields(attachment: Attachment) -> Iterable[str]:
    from studio.peft.contract import METHODS

    return METHODS.get(attachment.method).Config.model_fields


def _lora_against_adapter(point: SweepPoint) -> list[SweepPoint]:
    from studio.app.inspection import Inspector

    loras = [a for a in point.recipe.attachments if a.enabled and a.method == "lora"]
    if len(loras) != 1:
        raise StudioError(
            "unsupported-recipe", "The preset lora-against-adapter needs a recipe with exactly one LoRA attachment."
        )
    adapter = _adapter_of_equal_size(Inspector(point.recipe.backbone), loras[0])
    swapped = tuple(adapter if a is loras[0] else a for a in point.recipe.attachments)
    other = point.recipe.model_copy(update={"attachments": swapped})
    return [_derive_point(point, point.recipe, "lora"), _derive_point(point, other, ADAPTER_METHOD)]


def _adapter_of_equal_size(inspector: "Inspector", lora: Attachment) -> Attachment:
    """Return the adapter with the number of parameters closest to that of ``lora``.

    Its parameters are linear in the width of the bottleneck, so two counts give the line.
    """
    from studio.peft.contract import METHODS
    from studio.peft.targets import default_attachment

    plain = default_attachment(METHODS.get(ADAPTER_METHOD), inspector.layers)

    def sized(bottleneck: int) -> Attachment:
        return plain.model_copy(update={"config": {**plain.config, "bottleneck": bottleneck}})

    wanted, one, two = (inspector.parameter_counts([a]).attachments[0].parameters for a in (lora, sized(1), sized(2)))
    return sized(max(1, round(1 + (wanted - one) / (two - one))))


PRESETS: Mapping[str, Callable[[SweepPoint], list[SweepPoint]]] = MappingProxyType(
    {"ranks": _rank_points, "lora-against-adapter": _lora_against_adapter}
)
"""Functions that make several points of one, at the recipe's learning rate."""
