"""The runs folder as a table."""

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from studio.ui.figures import percent
from studio.ui.training import RunRow

RUN_ROLE = Qt.ItemDataRole.UserRole + 1
COLUMNS = ("Run", "State", "Backbone", "Methods", "Best accuracy")
_Index = QModelIndex | QPersistentModelIndex


class RunTable(QAbstractTableModel):
    """Runs, newest first."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[RunRow, ...] = ()

    def show_rows(self, rows: Sequence[RunRow]) -> None:
        """Replace the table; rows that stay the same keep the selection."""
        new = tuple(rows)
        if [row.name for row in new] != [row.name for row in self._rows]:
            self.beginResetModel()
            self._rows = new
            self.endResetModel()
        elif new != self._rows:
            self._rows = new
            self.dataChanged.emit(self.index(0, 0), self.index(len(new) - 1, len(COLUMNS) - 1))

    def row_of(self, name: str) -> int:
        """The row of the run called ``name``; -1 where there is none."""
        return next((i for i, row in enumerate(self._rows) if row.name == name), -1)

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of runs."""
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
        """Qt: the cells' texts, and the row."""
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            best = percent(row.accuracy) if row.accuracy is not None else "–"
            return (row.name, row.state, row.backbone, row.methods, best)[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return str(row.run.path)
        return row if role == RUN_ROLE else None
