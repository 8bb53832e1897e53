"""Table model of the runs folder."""

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, Qt

from studio.core.messages import N_
from studio.ui.services.trainer import RunRow
from studio.ui.shared.run_state import state_text
from studio.ui.style.formatting import format_percent
from studio.ui.style.theme import color
from studio.ui.widgets.table_model import RowTableModel

RUN_COLORS = ("accent", "adapter", "second", "head", "good", "bad")
"""Theme colors of runs that are drawn together, the current one first."""
Index = QModelIndex | QPersistentModelIndex


class RunModel(RowTableModel[RunRow]):
    """Runs, newest first."""

    columns = (N_("Run"), N_("State"), N_("Progress"), N_("Backbone"), N_("Methods"), N_("Best accuracy"))

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._drawn: list[str] = []

    def cells(self, row: RunRow) -> tuple[str, ...]:
        """Return name, state, progress, backbone, methods and best accuracy."""
        best = format_percent(row.accuracy) if row.accuracy is not None else "–"
        done = format_percent(row.step / row.steps, 0) if row.steps else "–"
        return row.name, state_text(row.state), done, row.backbone, row.methods, best

    def show_drawn(self, names: Sequence[str]) -> None:
        """Mark the runs that are drawn together with the colors of their curves."""
        if list(names) != self._drawn:
            self._drawn = list(names)
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, 0))

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: also the color of a run's curves."""
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0 and self._drawn:
            name = self.rows[index.row()].name
            return color(RUN_COLORS[self._drawn.index(name)]) if name in self._drawn else None
        return super().data(index, role)

    def tool_tip(self, row: RunRow) -> str:
        """Return the path of the run."""
        return str(row.run.path)

    def key(self, row: RunRow) -> str:
        """Return the name, which stays the same while the run trains."""
        return row.name

    def row_of(self, name: str) -> int:
        """Return the row of the run called ``name``, or -1."""
        return next((i for i, row in enumerate(self.rows) if row.name == name), -1)
