"""Plain rows as a table or a list: what the tables and lists of the window have in common."""

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from PySide6.QtCore import QAbstractListModel, QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from studio.ui.i18n.language import tr

ROW_ROLE = Qt.ItemDataRole.UserRole + 1
"""Under this role each cell gives its whole row."""

R = TypeVar("R")
_Index = QModelIndex | QPersistentModelIndex


class RowTableModel(QAbstractTableModel, Generic[R]):
    """Rows in the order given. A table says its columns, and the texts of a row's cells."""

    columns: ClassVar[tuple[str, ...]]

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[R, ...] = ()

    def cells(self, row: R) -> Sequence[str]:
        """The texts of a row, one a column."""
        raise NotImplementedError

    def tool_tip(self, row: R) -> str:
        """What to say of a row when the mouse rests on it; nothing by default."""
        return ""

    def key(self, row: R) -> object:
        """What stays the same of a row when its cells change."""
        return row

    def show_rows(self, rows: Sequence[R]) -> None:
        """Replace the table; while the rows' keys stay the same, so does the selection."""
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
            return tr(self.columns[section])
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: the cells' texts, a word on the row, and the row itself."""
        if not index.isValid():
            return None
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self.cells(row)[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.tool_tip(row) or None
        return row if role == ROW_ROLE else None


class RowListModel(QAbstractListModel, Generic[R]):
    """Rows in the order given. A list says the caption of a row, and the row in words."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: Sequence[R] = ()

    def caption(self, row: R) -> str:
        """What a row is called."""
        raise NotImplementedError

    def description(self, row: R) -> str:
        """All of a row in words, for who rests on it or cannot see it."""
        raise NotImplementedError

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of rows."""
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: caption, all of it in words, and the row itself."""
        if not index.isValid():
            return None
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self.caption(row)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return self.description(row)
        return row if role == ROW_ROLE else None
