"""The palette: PEFT methods, or presets of them, as a list that can be dragged from."""

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QMimeData, QModelIndex, QObject, QPersistentModelIndex, Qt

from studio.ui.i18n.language import tr
from studio.ui.services.drag_payload import MIMES, to_mime
from studio.ui.services.method_rows import MethodRow

METHOD_ROLE = Qt.ItemDataRole.UserRole + 1
UNSUPPORTED_ROLE = Qt.ItemDataRole.UserRole + 2


def _search_text(row: MethodRow) -> str:
    """What a search looks through: the words in English and in the window's language, in lower case."""
    words = (row.label, row.family, row.summary)
    return " ".join((*words, *map(tr, words))).lower()


class Palette(QAbstractListModel):
    """The methods by family, or the presets; a row that this backbone has no place for says why."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: tuple[MethodRow, ...] = ()
        self._rows: tuple[MethodRow, ...] = ()
        self._unsupported: Mapping[str, str] = {}

    def show_methods(self, rows: Sequence[MethodRow]) -> None:
        """Replace the list; families stand together in ``rows`` already."""
        self._all = tuple(rows)
        self.show_filter("")

    def show_unsupported(self, reasons: Mapping[str, str]) -> None:
        """Say by name why rows have no place in this backbone; those that are not named have one."""
        self._unsupported = reasons
        if self._rows:
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1))

    @property
    def methods(self) -> tuple[MethodRow, ...]:
        """All rows by family, whatever the filter."""
        return self._all

    def unsupported_reason(self, name: str) -> str:
        """Why the row called ``name`` has no place in this backbone; empty where it has one."""
        return self._unsupported.get(name, "")

    def show_filter(self, query: str) -> None:
        """Keep only rows that have ``words`` in name, family or summary."""
        wanted = query.strip().lower()
        self.beginResetModel()
        self._rows = tuple(row for row in self._all if wanted in _search_text(row))
        self.endResetModel()

    def starts_family(self, row: int) -> bool:
        """Whether a row is the first of its family; presets have none."""
        family = self._rows[row].family
        return bool(family) and (row == 0 or family != self._rows[row - 1].family)

    def row_of(self, name: str) -> int:
        """The row of the method called ``name``; -1 where there is none."""
        return next((i for i, row in enumerate(self._rows) if row.name == name), -1)

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of methods."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: label, summary or refusal as tool tip, and the whole row for the delegate."""
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        why = self.unsupported_reason(row.name)
        if role == Qt.ItemDataRole.DisplayRole:
            return tr(row.label)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{tr(row.label)}: {tr(why)}" if why else tr(row.label)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tr(why) if why else "\n".join(filter(None, (tr(row.summary), row.paper)))
        if role == UNSUPPORTED_ROLE:
            return why
        return row if role == METHOD_ROLE else None

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        """Qt: rows can be selected, and dragged where this backbone has a place for them."""
        flag = Qt.ItemFlag
        if not index.isValid():
            return flag.NoItemFlags
        plain = flag.ItemIsEnabled | flag.ItemIsSelectable | flag.ItemNeverHasChildren
        return plain if self.unsupported_reason(self._rows[index.row()].name) else plain | flag.ItemIsDragEnabled

    def mimeTypes(self) -> list[str]:
        """Qt: what a drag carries."""
        return list(MIMES)

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        """Qt: the dragged method or preset."""
        return to_mime(self._rows[indexes[0].row()].payload) if indexes else QMimeData()

    def supportedDragActions(self) -> Qt.DropAction:
        """Qt: dragging copies."""
        return Qt.DropAction.CopyAction
