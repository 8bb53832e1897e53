"""The catalogue of backbones as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

if TYPE_CHECKING:
    from studio.backbones.catalogue import Entry

ENTRY_ROLE = Qt.ItemDataRole.UserRole + 1
COLUMNS = ("Name", "Input", "Weights", "Licence of the weights")
_Index = QModelIndex | QPersistentModelIndex


class Backbones(QAbstractTableModel):
    """Entries in the catalogue's order."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._entries: Sequence[Entry] = ()

    def show_entries(self, entries: "Sequence[Entry]") -> None:
        """Replace the table."""
        self.beginResetModel()
        self._entries = tuple(entries)
        self.endResetModel()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of entries."""
        return 0 if parent.isValid() else len(self._entries)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        """Qt: names of the columns."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: the cells' texts, and the entry."""
        if not index.isValid():
            return None
        entry = self._entries[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return _cells(entry)[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{entry.name}: {_cells(entry)[2]}, licence {entry.licence}"
        return entry if role == ENTRY_ROLE else None


def _cells(entry: "Entry") -> tuple[str, ...]:
    height, width = entry.input_size
    where = (
        "comes with the program"
        if entry.source == "bundled"
        else "on this machine"
        if entry.available
        else "to be fetched"
    )
    return entry.name, f"{height} × {width}" if height else "any", where, entry.licence
