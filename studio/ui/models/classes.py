"""The result of each class as a table."""

from typing import TYPE_CHECKING

from studio.ui.figures import percent
from studio.ui.models.table import Table

if TYPE_CHECKING:
    from studio.training.metrics import ClassMetrics


class ClassTable(Table["ClassMetrics"]):
    """Classes in the order of the head's outputs."""

    columns = ("Class", "Images", "Found (recall)", "Right when named (precision)", "F1")

    def cells(self, row: "ClassMetrics") -> tuple[str, ...]:
        """Label, count and measures."""
        return row.label, str(row.images), percent(row.recall), percent(row.precision), f"{row.f1:.3f}"
