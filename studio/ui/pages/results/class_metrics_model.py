"""Table model of the metrics of each class."""

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt

from studio.core.messages import N_
from studio.ui.i18n.language import tr
from studio.ui.style.formatting import format_percent
from studio.ui.widgets.table_model import ROW_ROLE, RowTableModel

if TYPE_CHECKING:
    from studio.training.metrics import ClassMetrics

SORT_ROLE = ROW_ROLE + 1
"""Role of the value that a cell is sorted by."""


class ClassMetricsModel(RowTableModel["ClassMetrics"]):
    """Classes in the order of the head's outputs."""

    columns = (N_("Class"), N_("Images"), N_("Recall"), N_("Precision"), "F1")

    def measures(self, row: "ClassMetrics") -> tuple[str | float, ...]:
        """Return the values that the columns are sorted by."""
        return row.label, row.images, row.recall, row.precision, row.f1

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: also the value that a cell is sorted by."""
        if role == SORT_ROLE and index.isValid():
            return self.measures(self.rows[index.row()])[index.column()]
        return super().data(index, role)

    def tool_tip(self, row: "ClassMetrics") -> str:
        """Return recall and precision as a sentence."""
        return tr(
            "{recall} of the {label} images are predicted as {label}; "
            "{precision} of the {label} predictions are correct",
            recall=format_percent(row.recall),
            precision=format_percent(row.precision),
            label=row.label,
        )

    def cells(self, row: "ClassMetrics") -> tuple[str, ...]:
        """Return label, count and metrics."""
        return row.label, str(row.images), format_percent(row.recall), format_percent(row.precision), f"{row.f1:.3f}"
