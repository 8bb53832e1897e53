"""The result of each class as a table."""

from typing import TYPE_CHECKING

from studio.ui.figures import percent
from studio.ui.language import tr
from studio.ui.models.table import Table

if TYPE_CHECKING:
    from studio.training.metrics import ClassMetrics


class ClassTable(Table["ClassMetrics"]):
    """Classes in the order of the head's outputs."""

    columns = ("Class", "Images", "Recall", "Precision", "F1")

    def tool_tip(self, row: "ClassMetrics") -> str:
        """What the figures say."""
        return tr(
            "{recall} of the images of {label} were found; {precision} of what was called {label} is right.",
            recall=percent(row.recall),
            precision=percent(row.precision),
            label=row.label,
        )

    def cells(self, row: "ClassMetrics") -> tuple[str, ...]:
        """Label, count and measures."""
        return row.label, str(row.images), percent(row.recall), percent(row.precision), f"{row.f1:.3f}"
