"""An X-ray of a run as text."""

from typing import TYPE_CHECKING

from studio.core.formatting import table

if TYPE_CHECKING:
    from studio.evaluation.ablation import XRay


def as_text(found: "XRay") -> str:
    """What each attachment is worth in points of accuracy, then the changes of weights."""
    title = f"{found.split}: {found.images:,} images, accuracy {found.accuracy:.1%} with everything"
    worth = (
        (a.name, f"{a.parameters:,}", f"{a.accuracy_without:.1%}", f"{100 * a.lost:.1f}", _points(a.lost_per_1000))
        for a in found.ablations
    )
    header = ("switched off", "parameters", "accuracy left", "points lost", "per 1,000 parameters")
    changes = (
        (c.attachment, f"{c.layer}.{c.tensor}", f"{c.norm:.3g}", _percent(c.relative_norm), _rank(c.effective_rank))
        for c in found.changes
    )
    names = ("attachment", "weight", "norm of the change", "of its own norm", "effective rank")
    return f"{title}\n\n{table(header, worth, (1, 2, 3, 4))}\n\n{table(names, changes, (2, 3, 4))}"


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _rank(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
