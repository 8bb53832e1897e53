"""Tables whose rows can be checked."""

from collections.abc import Hashable
from typing import Any, TypeVar

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from studio.ui.widgets.table_model import RowTableModel

R = TypeVar("R")
_Index = QModelIndex | QPersistentModelIndex


class CheckableTableModel(RowTableModel[R]):
    """A table with check boxes in the first column.

    ``checked`` holds the keys of the checked rows; ``checked_changed`` is emitted when they change.
    """

    checked_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.checked: set[Hashable] = set()

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """Qt: the first column can be checked."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsUserCheckable if index.column() == 0 else flags

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: as every table, and whether a row is checked."""
        if role == Qt.ItemDataRole.CheckStateRole and index.isValid() and index.column() == 0:
            on = self.key(self.rows[index.row()]) in self.checked
            return Qt.CheckState.Checked if on else Qt.CheckState.Unchecked
        return super().data(index, role)

    def setData(self, index: _Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Qt: check or uncheck a row."""
        if role != Qt.ItemDataRole.CheckStateRole or not index.isValid():
            return False
        key = self.key(self.rows[index.row()])
        self.set_checked({key}, on=Qt.CheckState(value) == Qt.CheckState.Checked)
        return True

    def set_checked(self, keys: set[Hashable], on: bool = True) -> None:
        """Check rows by their keys, or uncheck them."""
        self.checked = self.checked | keys if on else self.checked - keys
        if self.rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, 0), [Qt.ItemDataRole.CheckStateRole])
        self.checked_changed.emit()
