"""Base classes for plain rows shown as a table or a list."""

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from PySide6.QtCore import QAbstractListModel, QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from studio.ui.i18n.language import localized

ROW_ROLE = Qt.ItemDataRole.UserRole + 1
"""The role under which each cell returns its whole row."""

R = TypeVar("R")
_Index = QModelIndex | QPersistentModelIndex


class RowTableModel(QAbstractTableModel, Generic[R]):
    """A table of rows in the given order.

    A subclass defines the columns and the texts of a row's cells.
    """

    columns: ClassVar[tuple[str, ...]]

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[R, ...] = ()

    def cells(self, row: R) -> Sequence[str]:
        """Return the texts of a row, one per column."""
        raise NotImplementedError

    def tool_tip(self, row: R) -> str:
        """Return the tool tip of a row; empty by default."""
        return ""

    def key(self, row: R) -> object:
        """Return the identity of a row, which stays the same when its cells change."""
        return row

    def show_rows(self, rows: Sequence[R]) -> None:
        """Replace the rows; the selection stays while their keys stay the same."""
        new = tuple(rows)
        if [self.key(row) for row in new] != [self.key(row) for row in self.rows]:
            self.beginResetModel()
            self.rows = new
            self.endResetModel()
        elif new != self.rows:
            self.rows = new
            self.dataChanged.emit(self.index(0, 0), self.index(len(new) - 1, len(self.columns) - 1))

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of rows."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of columns."""
        return 0 if parent.isValid() else len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        """Qt: names of the columns."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return localized(self.columns[section])
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: the texts of the cells, the tool tip of the row, and the row itself."""
        if not index.isValid():
            return None
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self.cells(row)[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.tool_tip(row) or None
        return row if role == ROW_ROLE else None


class RowListModel(QAbstractListModel, Generic[R]):
    """A list of rows in the given order.

    A subclass defines the caption and the description of a row.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: Sequence[R] = ()

    def caption(self, row: R) -> str:
        """Return the short text of a row."""
        raise NotImplementedError

    def description(self, row: R) -> str:
        """Return the full text of a row, as tool tip and for screen readers."""
        raise NotImplementedError

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of rows."""
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: caption, description, and the row itself."""
        if not index.isValid():
            return None
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self.caption(row)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return self.description(row)
        return row if role == ROW_ROLE else None
