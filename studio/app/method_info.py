"""The PEFT methods as plain data."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from studio.app.method_guide import MethodStats, method_stats

if TYPE_CHECKING:
    from studio.peft.contract import Method

_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


@dataclass(frozen=True, slots=True)
class ConfigField:
    """One field of a method; ``bounds`` is text such as ``>= 1``, or the choices."""

    name: str
    default: Any
    bounds: str
    description: str


@dataclass(frozen=True, slots=True)
class MethodDescription:
    """One method: description, fields, default layers, merging and exports."""

    name: str
    label: str
    family: str
    summary: str
    paper: str
    fields: tuple[ConfigField, ...]
    sites: tuple[str, ...]
    mergeable: bool
    not_mergeable_reason: str
    exports: tuple[str, ...]
    when_to_use: str = ""
    stats: MethodStats | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def describe_methods() -> list[MethodDescription]:
    """Return every method, in the order of the palette."""
    from studio.peft.contract import methods_by_family

    return [_method_info(method) for method in methods_by_family()]


def describe_method(name: str) -> MethodDescription:
    """Return one method; StudioError if there is none of that name."""
    from studio.peft.contract import METHODS

    return _method_info(METHODS.get(name))


def _method_info(method: "Method[Any]") -> MethodDescription:
    from studio.export.contract import formats_for

    return MethodDescription(
        name=method.name,
        label=method.label,
        family=method.family,
        summary=method.summary,
        paper=method.paper,
        fields=tuple(_fields(method.Config.model_json_schema())),
        sites=tuple(_site_text(d.roles, d.slices) for d in method.default_sites),
        mergeable=not method.not_mergeable_reason,
        not_mergeable_reason=method.not_mergeable_reason,
        exports=tuple(formats_for(method)),
        when_to_use=method.info.when_to_use,
        stats=method_stats(method.name),
    )


def _fields(schema: dict[str, Any]) -> Iterable[ConfigField]:
    for name, raw in schema.get("properties", {}).items():
        yield ConfigField(name, raw.get("default"), _bounds(raw), raw.get("description", ""))


def _bounds(raw: dict[str, Any]) -> str:
    if "enum" in raw:
        return " | ".join(map(str, raw["enum"]))
    return ", ".join(f"{sign} {raw[key]:g}" for key, sign in _BOUNDS.items() if key in raw) or str(raw.get("type", ""))


def _site_text(roles: Iterable[Any], slices: Iterable[str]) -> str:
    parts = ", ".join(slices)
    return " and ".join(map(str, roles)) + (f" (its {parts})" if parts else "")
