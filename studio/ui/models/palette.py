"""The palette: the PEFT methods as a list that can be dragged from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractListModel, QMimeData, QModelIndex, QObject, QPersistentModelIndex, Qt

from studio.ui.language import tr
from studio.ui.models.carried import METHOD_MIME

METHOD_ROLE = Qt.ItemDataRole.UserRole + 1


@dataclass(frozen=True, slots=True)
class MethodRow:
    """What the palette shows of a method."""

    name: str
    label: str
    family: str
    summary: str
    paper: str
    merge_refusal: str


def _words(row: MethodRow) -> str:
    """What a search looks through: the words in English and in the window's language, in lower case."""
    words = (row.label, row.family, row.summary)
    return " ".join((*words, *map(tr, words))).lower()


class Palette(QAbstractListModel):
    """The methods by family."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: tuple[MethodRow, ...] = ()
        self._rows: tuple[MethodRow, ...] = ()

    def show_methods(self, rows: Sequence[MethodRow]) -> None:
        """Replace the list; families stand together in ``rows`` already."""
        self._all = tuple(rows)
        self.show_filter("")

    @property
    def methods(self) -> tuple[MethodRow, ...]:
        """All methods by family, whatever the filter."""
        return self._all

    def show_filter(self, words: str) -> None:
        """Keep only methods that have ``words`` in name, family or summary."""
        wanted = words.strip().lower()
        self.beginResetModel()
        self._rows = tuple(row for row in self._all if wanted in _words(row))
        self.endResetModel()

    def begins_family(self, row: int) -> bool:
        """Whether a row is the first of its family."""
        return row == 0 or self._rows[row].family != self._rows[row - 1].family

    def row_of(self, name: str) -> int:
        """The row of the method called ``name``; -1 where there is none."""
        return next((i for i, row in enumerate(self._rows) if row.name == name), -1)

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of methods."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: label, summary as tool tip, and the whole row for the delegate."""
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return tr(row.label)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{tr(row.summary)}\n{row.paper}"
        return row if role == METHOD_ROLE else None

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        """Qt: rows can be selected and dragged."""
        flag = Qt.ItemFlag
        if not index.isValid():
            return flag.NoItemFlags
        return flag.ItemIsEnabled | flag.ItemIsSelectable | flag.ItemIsDragEnabled | flag.ItemNeverHasChildren

    def mimeTypes(self) -> list[str]:
        """Qt: what a drag carries."""
        return [METHOD_MIME]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        """Qt: the name of the dragged method."""
        data = QMimeData()
        for index in indexes[:1]:
            data.setData(METHOD_MIME, self._rows[index.row()].name.encode())
        return data

    def supportedDragActions(self) -> Qt.DropAction:
        """Qt: dragging copies."""
        return Qt.DropAction.CopyAction
