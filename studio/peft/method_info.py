"""How a PEFT method is shown and searched; the engine itself does not need it."""

from dataclasses import dataclass, replace

from pydantic import BaseModel

DIAGRAMS = ("weights", "beside", "scale", "after", "parallel", "tokens", "prefix", "mix")
"""Placement diagrams: the weights themselves; a branch beside a linear layer; a scale of its output; a small network
after or beside a layer; tokens before the image tokens; keys and values before those of an attention; a mixture of
other adapters."""

_FAMILY_DIAGRAMS = {
    "low rank": "beside",
    "scaling": "scale",
    "bottleneck": "after",
    "tokens": "tokens",
    "selective": "weights",
    "composition": "mix",
}
_SIZE_FIELDS = ("rank", "bottleneck", "length")


@dataclass(frozen=True, slots=True)
class MethodInfo:
    """Display properties of a method; the empty ones are filled from its class.

    ``when_to_use`` is one sentence (default: the first line of the docstring), ``diagram`` one of :data:`DIAGRAMS`
    (default: that of the family), ``size_field`` the field that sets the number of parameters and that a search
    varies (default: rank, bottleneck or length). ``badge`` is a template over the fields, such as ``r{rank}``, for the
    few characters that tell configurations apart.
    """

    when_to_use: str = ""
    diagram: str = ""
    size_field: str = ""
    badge: str = ""

    def short_text(self, config: BaseModel) -> str:
        """Return a few characters that tell ``config`` from others, such as ``r8``; empty without a template."""
        return self.badge.format_map(config.model_dump())

    def completed(self, docstring: str, family: str, fields: tuple[str, ...]) -> "MethodInfo":
        """Return it with empty properties filled from the docstring, the family and the fields of the method."""
        return replace(
            self,
            when_to_use=self.when_to_use or docstring.strip().partition("\n")[0],
            diagram=self.diagram or _FAMILY_DIAGRAMS.get(family, "after"),
            size_field=self.size_field or next((name for name in _SIZE_FIELDS if name in fields), ""),
        )
