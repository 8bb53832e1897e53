"""The result of each class as a table."""

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt

from studio.ui.i18n.language import tr
from studio.ui.style.formatting import format_percent
from studio.ui.widgets.table_model import ROW_ROLE, RowTableModel

if TYPE_CHECKING:
    from studio.training.metrics import ClassMetrics

SORT_ROLE = ROW_ROLE + 1
"""Under this role each cell gives its measure as a number."""


class ClassMetricsModel(RowTableModel["ClassMetrics"]):
    """Classes in the order of the head's outputs."""

    columns = ("Class", "Images", "Recall", "Precision", "F1")

    def measures(self, row: "ClassMetrics") -> tuple[str | float, ...]:
        """What the columns are sorted by."""
        return row.label, row.images, row.recall, row.precision, row.f1

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: as every table, and what it is sorted by."""
        if role == SORT_ROLE and index.isValid():
            return self.measures(self.rows[index.row()])[index.column()]
        return super().data(index, role)

    def tool_tip(self, row: "ClassMetrics") -> str:
        """What the figures say."""
        return tr(
            "{recall} of the images of {label} were found; {precision} of what was called {label} is right.",
            recall=format_percent(row.recall),
            precision=format_percent(row.precision),
            label=row.label,
        )

    def cells(self, row: "ClassMetrics") -> tuple[str, ...]:
        """Label, count and measures."""
        return row.label, str(row.images), format_percent(row.recall), format_percent(row.precision), f"{row.f1:.3f}"
