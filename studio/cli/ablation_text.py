"""An X-ray of a run as text."""

from typing import TYPE_CHECKING

from studio.core.formatting import format_table

if TYPE_CHECKING:
    from studio.evaluation.ablation import AdapterAnalysis


def format_ablation(analysis: "AdapterAnalysis") -> str:
    """What each attachment is worth in points of accuracy, then the changes of weights."""
    title = f"{analysis.split}: {analysis.images:,} images, accuracy {analysis.accuracy:.1%} with everything"
    worth = (
        (
            a.name,
            f"{a.parameters:,}",
            f"{a.accuracy_without:.1%}",
            f"{100 * a.accuracy_drop:.1f}",
            _points(a.accuracy_per_1k_params),
        )
        for a in analysis.ablations
    )
    header = ("switched off", "parameters", "accuracy left", "points lost", "per 1,000 parameters")
    changes = (
        (c.attachment, f"{c.layer}.{c.tensor}", f"{c.norm:.3g}", _percent(c.relative_norm), _rank(c.effective_rank))
        for c in analysis.changes
    )
    names = ("attachment", "weight", "norm of the change", "of its own norm", "effective rank")
    return f"{title}\n\n{format_table(header, worth, (1, 2, 3, 4))}\n\n{format_table(names, changes, (2, 3, 4))}"


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _rank(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
