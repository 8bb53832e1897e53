"""The PEFT methods as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from studio.cli.tables import Part, TextTable, make_table

if TYPE_CHECKING:
    from studio.app.method_info import MethodDescription


def methods_table(methods: "Sequence[MethodDescription]") -> TextTable:
    """Return one row per method."""
    rows = ((m.name, m.label, "yes" if m.mergeable else "no", m.summary) for m in methods)
    return make_table(("name", "method", "merges", "description"), rows)


def method_parts(method: "MethodDescription") -> tuple[Part, ...]:
    """Return the page of one method."""
    title = f"{method.label} ({method.name}, {method.family})\n{method.summary}\n{method.paper}"
    fields = make_table(
        ("field", "default", "allowed", ""), ((f.name, f.default, f.bounds, f.description) for f in method.fields)
    )
    merging = "merges into the backbone" if method.mergeable else f"does not merge: {method.not_mergeable_reason}"
    facts = f"default layers: {', or '.join(method.sites)}\n{merging}\nexports: {', '.join(method.exports)}"
    guide = "\n".join(part for part in (method.when_to_use, method.stats.as_text() if method.stats else "") if part)
    return (title, fields, facts, *((guide,) if guide else ()))
