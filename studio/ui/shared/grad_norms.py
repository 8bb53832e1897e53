"""Gradient norms of the running training by attachment, for the layer tree."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from studio.ui.i18n.language import tr

_DECADES = 3.0
"""A norm so many powers of ten below the largest one is drawn as zero."""


@dataclass(frozen=True, slots=True)
class GradNorms:
    """Gradient norms by ``attachment/path``, and the keys that are always zero.

    Both are empty without a run.
    """

    norms: Mapping[str, float] = field(default_factory=dict)
    without_gradient: frozenset[str] = frozenset()

    def norm(self, attachment: str, path: str) -> float | None:
        """Return the norm of an attachment at a layer, or None if it is unknown."""
        return self.norms.get(f"{attachment}/{path}")

    def has_gradient(self, attachment: str, path: str) -> bool:
        """Return whether the norm has ever been above zero, as far as is known."""
        return f"{attachment}/{path}" not in self.without_gradient

    def relative(self, attachment: str, path: str) -> float:
        """Return the norm relative to the largest one, in [0, 1] on a logarithmic scale."""
        norm, largest = self.norm(attachment, path) or 0.0, max(self.norms.values(), default=0.0)
        if norm <= 0 or largest <= 0:
            return 0.0
        return max(0.0, 1 + math.log10(norm / largest) / _DECADES)

    def describe(self, attachment: str, path: str) -> str:
        """Return the norm as a text; empty if it is unknown."""
        norm = self.norm(attachment, path)
        if norm is None:
            return ""
        if not self.has_gradient(attachment, path):
            return tr("{name} has not changed: no gradient has reached it", name=attachment)
        return tr("{name}: gradient norm {norm:.3g}", name=attachment, norm=norm)
