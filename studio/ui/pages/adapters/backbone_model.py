"""The catalog of backbones as a table that can be sorted by any column."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, Qt

from studio.core.formatting import format_bytes
from studio.core.messages import N_
from studio.ui.i18n.language import localized, tr, tr_n
from studio.ui.style.formatting import format_short_count
from studio.ui.style.icons import icon
from studio.ui.widgets.table_model import RowTableModel

if TYPE_CHECKING:
    from studio.backbones.catalog import CatalogEntry

Index = QModelIndex | QPersistentModelIndex
NAME, FAMILY, PARAMETERS, INPUT, OPERATIONS, LICENSE, WEIGHTS = range(7)
_RIGHT_ALIGNED = (PARAMETERS, OPERATIONS)
_UNKNOWN = float("inf")


@dataclass(frozen=True, slots=True)
class BackboneFilter:
    """The conditions on the entries to show, by default none.

    ``max_parameters`` 0 allows any size.
    """

    downloaded: bool = False
    commercial_use: bool = False
    max_parameters: int = 0

    def accepts(self, entry: "CatalogEntry") -> bool:
        """Return whether ``entry`` meets the conditions.

        A license that is not stated allows no commercial use.
        """
        return (
            (entry.available or not self.downloaded)
            and (not self.commercial_use or not (entry.non_commercial or entry.license == "not stated"))
            and (not self.max_parameters or (entry.parameters is not None and entry.parameters <= self.max_parameters))
        )


_SORT_KEYS: dict[int, Callable[["CatalogEntry"], Any]] = {
    NAME: lambda e: e.name,
    FAMILY: lambda e: e.family,
    PARAMETERS: lambda e: _UNKNOWN if e.parameters is None else e.parameters,
    INPUT: lambda e: e.input_size,
    OPERATIONS: lambda e: _UNKNOWN if e.flops is None else e.flops,
    LICENSE: lambda e: (e.non_commercial, e.license),
    WEIGHTS: lambda e: (e.source != "bundled", not e.available, _UNKNOWN if e.weight_bytes is None else e.weight_bytes),
}


class BackboneModel(RowTableModel["CatalogEntry"]):
    """Entries in the order of the catalog, or sorted by a column."""

    columns = (
        N_("Name"),
        N_("Family"),
        N_("Parameters"),
        N_("Input"),
        "GFLOPs",
        N_("License of the weights"),
        N_("Weights"),
    )

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._order: tuple[int, Qt.SortOrder] = (-1, Qt.SortOrder.AscendingOrder)
        self._unsorted: tuple[CatalogEntry, ...] = ()

    def show_entries(self, entries: Sequence["CatalogEntry"]) -> None:
        """Show ``entries`` in the current order."""
        self._unsorted = tuple(entries)
        self.show_rows(self._sorted())

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Qt: sort by a column; -1 restores the order of the catalog."""
        self._order = (column, order)
        self.show_rows(self._sorted())

    def _sorted(self) -> list["CatalogEntry"]:
        column, order = self._order
        if column not in _SORT_KEYS:
            return list(self._unsorted)
        return sorted(self._unsorted, key=_SORT_KEYS[column], reverse=order == Qt.SortOrder.DescendingOrder)

    def cells(self, row: "CatalogEntry") -> tuple[str, ...]:
        """Return the texts of the columns."""
        height, width = row.input_size
        return (
            row.name,
            row.family,
            "?" if row.parameters is None else format_short_count(row.parameters),
            f"{height} × {width}" if height else tr("any"),
            "?" if row.flops is None else f"{row.flops / 1e9:.3g}",
            license_text(row),
            weights_location_text(row),
        )

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        """Qt: names of the columns, aligned like their cells."""
        if role == Qt.ItemDataRole.TextAlignmentRole and section in _RIGHT_ALIGNED:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return super().headerData(section, orientation, role)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: also an icon for a non-commercial license, and the alignment of numbers."""
        if role == Qt.ItemDataRole.DecorationRole and index.column() == LICENSE:
            return icon("warning", "adapter") if self.rows[index.row()].non_commercial else None
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() in _RIGHT_ALIGNED:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return super().data(index, role)

    def tool_tip(self, row: "CatalogEntry") -> str:
        """Return all values in full: a narrow column may cut them."""
        lines = [row.name, license_text(row), weights_location_text(row)]
        if row.parameters is not None:
            lines.append(tr_n("{n:,} parameter", "{n:,} parameters", row.parameters))
        if row.flops is not None:
            lines.append(tr("{n:,} FLOPs per image; a multiply-add counts as two", n=row.flops))
        return "\n".join(lines)


def license_text(entry: "CatalogEntry") -> str:
    """Return the license, and that it is non-commercial."""
    if entry.non_commercial:
        return tr("{license}, non-commercial", license=entry.license)
    return tr("not stated") if entry.license == "not stated" else localized(entry.license)


def weights_location_text(entry: "CatalogEntry") -> str:
    """Return the place of the weights, or the size of their download."""
    if entry.source == "bundled":
        return tr("included")
    if entry.available:
        return tr("downloaded")
    if not entry.repository:
        return tr("not on the hub")
    return tr("download, {size}", size=format_bytes(entry.weight_bytes)) if entry.weight_bytes else tr("download")
