"""The ablation of a run as text."""

from typing import TYPE_CHECKING

from studio.cli.tables import Part, make_table

if TYPE_CHECKING:
    from studio.evaluation.ablation import AdapterAnalysis

_ABLATIONS = ("disabled", "parameters", "accuracy without", "points lost", "per 1,000 parameters")
_CHANGES = ("attachment", "weight", "norm of the change", "relative norm", "effective rank")


def ablation_parts(analysis: "AdapterAnalysis") -> tuple[Part, ...]:
    """Return the accuracy that each attachment adds, then the changes of the weights."""
    title = f"{analysis.split}: {analysis.images:,} images, accuracy {analysis.accuracy:.1%} with all attachments"
    ablations = (
        (
            a.name,
            f"{a.parameters:,}",
            f"{a.accuracy_without:.1%}",
            f"{100 * a.accuracy_drop:.1f}",
            _points(a.accuracy_per_1k_params),
        )
        for a in analysis.ablations
    )
    changes = (
        (c.attachment, f"{c.layer}.{c.tensor}", f"{c.norm:.3g}", _percent(c.relative_norm), _rank(c.effective_rank))
        for c in analysis.changes
    )
    return title, make_table(_ABLATIONS, ablations, (1, 2, 3, 4)), make_table(_CHANGES, changes, (2, 3, 4))


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _rank(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
