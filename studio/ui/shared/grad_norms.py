"""How strongly the training that goes on pulls at each attachment, for the tree to show."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from studio.ui.i18n.language import tr

_DECADES = 3.0
"""A pull so many powers of ten below the strongest one is drawn as none."""


@dataclass(frozen=True, slots=True)
class GradNorms:
    """Gradient norms by ``attachment/path``, and the places where none was ever above zero; empty ends it."""

    norms: Mapping[str, float] = field(default_factory=dict)
    without_gradient: frozenset[str] = frozenset()

    def norm(self, attachment: str, path: str) -> float | None:
        """The norm at one place; None where it is not known."""
        return self.norms.get(f"{attachment}/{path}")

    def has_gradient(self, attachment: str, path: str) -> bool:
        """Whether anything ever pulled there, as far as is known."""
        return f"{attachment}/{path}" not in self.without_gradient

    def relative(self, attachment: str, path: str) -> float:
        """How strong the pull is beside the strongest, in [0, 1], on a logarithmic scale."""
        norm, most = self.norm(attachment, path) or 0.0, max(self.norms.values(), default=0.0)
        if norm <= 0 or most <= 0:
            return 0.0
        return max(0.0, 1 + math.log10(norm / most) / _DECADES)

    def describe(self, attachment: str, path: str) -> str:
        """The pull at one place as a sentence; empty where nothing is known of it."""
        norm = self.norm(attachment, path)
        if norm is None:
            return ""
        if not self.has_gradient(attachment, path):
            return tr("{name} has not moved: no gradient has reached it", name=attachment)
        return tr("{name}: norm of the gradient {norm:.3g}", name=attachment, norm=norm)
