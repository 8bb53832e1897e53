"""The palette as a model: PEFT methods, or presets, that can be dragged."""

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QMimeData, QModelIndex, QObject, QPersistentModelIndex, Qt

from studio.ui.i18n.language import localized
from studio.ui.services.drag_payload import MIMES, to_mime
from studio.ui.services.method_rows import MethodRow

METHOD_ROLE = Qt.ItemDataRole.UserRole + 1
UNSUPPORTED_ROLE = Qt.ItemDataRole.UserRole + 2


def _search_text(row: MethodRow) -> str:
    """Return the texts to search, in English and the window's language, lower case."""
    texts = (row.label, row.family, row.summary)
    return " ".join((*texts, *map(localized, texts))).lower()


class Palette(QAbstractListModel):
    """The methods by family, or the presets.

    Rows that the backbone does not support have the reason.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: tuple[MethodRow, ...] = ()
        self._rows: tuple[MethodRow, ...] = ()
        self._unsupported: Mapping[str, str] = {}

    def show_methods(self, rows: Sequence[MethodRow]) -> None:
        """Replace the rows, which are sorted by family."""
        self._all = tuple(rows)
        self.show_filter("")

    def show_unsupported(self, reasons: Mapping[str, str]) -> None:
        """Show the reasons, by name, why the backbone does not support rows."""
        self._unsupported = reasons
        if self._rows:
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1))

    @property
    def methods(self) -> tuple[MethodRow, ...]:
        """All rows by family, regardless of the filter."""
        return self._all

    def unsupported_reason(self, name: str) -> str:
        """Return why the backbone does not support the row ``name``; empty if it does."""
        return self._unsupported.get(name, "")

    def show_filter(self, query: str) -> None:
        """Keep only rows with ``query`` in label, family or summary."""
        text = query.strip().lower()
        self.beginResetModel()
        self._rows = tuple(row for row in self._all if text in _search_text(row))
        self.endResetModel()

    def starts_family(self, row: int) -> bool:
        """Return whether a row is the first of its family; presets have none."""
        family = self._rows[row].family
        return bool(family) and (row == 0 or family != self._rows[row - 1].family)

    def row_of(self, name: str) -> int:
        """Return the row of the method ``name``; -1 without one."""
        return next((i for i, row in enumerate(self._rows) if row.name == name), -1)

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of methods."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: label, tool tip (summary or reason), and the whole row for the delegate."""
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        label, reason = localized(row.label), localized(self.unsupported_reason(row.name))
        if role == Qt.ItemDataRole.DisplayRole:
            return label
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{label}: {reason}" if reason else label
        if role == Qt.ItemDataRole.ToolTipRole:
            return reason or "\n".join(filter(None, (localized(row.summary), row.paper)))
        if role == UNSUPPORTED_ROLE:
            return reason
        return row if role == METHOD_ROLE else None

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        """Qt: rows can be selected, and dragged if the backbone supports them."""
        flag = Qt.ItemFlag
        if not index.isValid():
            return flag.NoItemFlags
        flags = flag.ItemIsEnabled | flag.ItemIsSelectable | flag.ItemNeverHasChildren
        return flags if self.unsupported_reason(self._rows[index.row()].name) else flags | flag.ItemIsDragEnabled

    def mimeTypes(self) -> list[str]:
        """Qt: the formats that a drag carries."""
        return list(MIMES)

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        """Qt: the dragged method or preset."""
        return to_mime(self._rows[indexes[0].row()].payload) if indexes else QMimeData()

    def supportedDragActions(self) -> Qt.DropAction:
        """Qt: dragging copies."""
        return Qt.DropAction.CopyAction
