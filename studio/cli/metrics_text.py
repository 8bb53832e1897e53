"""Metrics of a split as text."""

from typing import TYPE_CHECKING

from studio.core.formatting import format_table

if TYPE_CHECKING:
    from studio.training.metrics import Metrics


def format_metrics(metrics: "Metrics") -> str:
    """The totals, then a line for each class with the class that it is most often taken for."""
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
    header = ("class", "images", "precision", "recall", "F1", "most often taken for")
    return f"{title}\n\n{format_table(header, rows, right=(1, 2, 3, 4))}"


def _top_confusion(row: tuple[int, ...], own: int, labels: list[str]) -> str:
    count, other = max((count, -i) for i, count in enumerate(row) if i != own)
    return f"{labels[-other]} ({count})" if count else ""
