"""The result of each class as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from studio.ui.figures import percent

if TYPE_CHECKING:
    from studio.training.metrics import ClassMetrics

COLUMNS = ("Class", "Images", "Found (recall)", "Right when named (precision)", "F1")
_Index = QModelIndex | QPersistentModelIndex


class ClassTable(QAbstractTableModel):
    """Classes in the order of the head's outputs."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[ClassMetrics, ...] = ()

    def show_classes(self, rows: "Sequence[ClassMetrics]") -> None:
        """Replace the table."""
        self.beginResetModel()
        self._rows = tuple(rows)
        self.endResetModel()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of classes."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        """Qt: names of the columns."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: the cells."""
        if not index.isValid() or role != Qt.ItemDataRole.DisplayRole:
            return None
        row = self._rows[index.row()]
        cells = (row.label, str(row.images), percent(row.recall), percent(row.precision), f"{row.f1:.3f}")
        return cells[index.column()]
