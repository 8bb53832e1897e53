"""The PEFT methods as plain data, for ``peft-studio methods``."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from studio.app.method_guide import Figures, figures
from studio.core.formatting import table

if TYPE_CHECKING:
    from studio.peft.contract import Method

_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


@dataclass(frozen=True, slots=True)
class FieldEntry:
    """One field of a method; ``bounds`` is text such as ``>= 1, <= 1024``, or the choices there are."""

    name: str
    default: Any
    bounds: str
    description: str


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """One method: what it is, its fields, where it goes by default, whether it merges, and how it can be exported."""

    name: str
    label: str
    family: str
    summary: str
    paper: str
    fields: tuple[FieldEntry, ...]
    sites: tuple[str, ...]
    mergeable: bool
    merge_refusal: str
    exports: tuple[str, ...]
    when: str = ""
    figures: Figures | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def as_text(self) -> str:
        """A page about the method."""
        fields = table(
            ("field", "default", "allowed", ""), ((f.name, f.default, f.bounds, f.description) for f in self.fields)
        )
        merging = "merges into the backbone" if self.mergeable else f"does not merge: {self.merge_refusal}"
        guide = "\n".join(part for part in (self.when, self.figures.as_text() if self.figures else "") if part)
        return (
            f"{self.label} ({self.name}, {self.family})\n{self.summary}\n{self.paper}\n\n{fields}\n\n"
            f"goes by default to {', or '.join(self.sites)}\n{merging}\nexports: {', '.join(self.exports)}"
            f"\n\n{guide}"
        )


def describe_all() -> list[MethodEntry]:
    """Every method, in the order of the palette."""
    from studio.peft.contract import by_family

    return [_entry(method) for method in by_family()]


def describe(name: str) -> MethodEntry:
    """One method; StudioError where there is none of that name."""
    from studio.peft.contract import METHODS

    return _entry(METHODS.get(name))


def _entry(method: "Method[Any]") -> MethodEntry:
    from studio.export.contract import formats

    return MethodEntry(
        name=method.name,
        label=method.label,
        family=method.family,
        summary=method.summary,
        paper=method.paper,
        fields=tuple(_fields(method.Config.model_json_schema())),
        sites=tuple(_site(d.roles, d.slices) for d in method.default_sites),
        mergeable=not method.merge_refusal,
        merge_refusal=method.merge_refusal,
        exports=tuple(formats(method)),
        when=method.when,
        figures=figures(method.name),
    )


def _fields(schema: dict[str, Any]) -> Iterable[FieldEntry]:
    for name, raw in schema.get("properties", {}).items():
        yield FieldEntry(name, raw.get("default"), _bounds(raw), raw.get("description", ""))


def _bounds(raw: dict[str, Any]) -> str:
    if "enum" in raw:
        return " | ".join(map(str, raw["enum"]))
    return ", ".join(f"{sign} {raw[key]:g}" for key, sign in _BOUNDS.items() if key in raw) or str(raw.get("type", ""))


def _site(roles: Iterable[Any], slices: Iterable[str]) -> str:
    parts = ", ".join(slices)
    return " and ".join(map(str, roles)) + (f" (its {parts})" if parts else "")
