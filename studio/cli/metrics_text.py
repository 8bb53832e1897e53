"""The metrics of a split as text."""

from typing import TYPE_CHECKING

from studio.cli.tables import Part, make_table

if TYPE_CHECKING:
    from studio.training.metrics import Metrics

_HEADER = ("class", "images", "precision", "recall", "F1", "most often predicted instead")


def metrics_parts(metrics: "Metrics") -> tuple[Part, ...]:
    """Return the totals, then one row per class with its most frequent confusion."""
    title = f"{metrics.split}: {metrics.images:,} images, accuracy {metrics.accuracy:.2%}, loss {metrics.loss:.4f}"
    labels = [one.label for one in metrics.per_class]
    rows = [
        (
            one.label,
            one.images,
            f"{one.precision:.1%}",
            f"{one.recall:.1%}",
            f"{one.f1:.1%}",
            _top_confusion(row, i, labels),
        )
        for i, (one, row) in enumerate(zip(metrics.per_class, metrics.confusion, strict=True))
    ]
    return title, make_table(_HEADER, rows, right=(1, 2, 3, 4))


def _top_confusion(row: tuple[int, ...], own: int, labels: list[str]) -> str:
    count, other = max((count, -i) for i, count in enumerate(row) if i != own)
    return f"{labels[-other]} ({count})" if count else ""
