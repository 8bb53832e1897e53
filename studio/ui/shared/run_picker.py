"""Combo box of the runs, on every page that shows a run."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox

from studio.ui.i18n.language import tr
from studio.ui.services.trainer import RunRegistry, RunRow
from studio.ui.shared.run_state import state_text
from studio.ui.style.formatting import format_percent
from studio.ui.widgets.fields import guard_wheel


class RunPicker(QComboBox):
    """List of the runs; the selected one is shown on all pages."""

    def __init__(self, runs: RunRegistry) -> None:
        super().__init__()
        self._runs = runs
        self.setMinimumWidth(300)
        self.setMinimumContentsLength(34)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setAccessibleName(tr("Run"))
        guard_wheel(self)
        runs.changed.connect(self._show)
        runs.selected_changed.connect(self._select_current)
        self.activated.connect(lambda row: runs.select(self.itemData(row)))
        self._show(runs.rows)

    def _show(self, rows: tuple[RunRow, ...]) -> None:
        self.clear()
        for row in rows:
            detail = format_percent(row.accuracy) if row.accuracy is not None else state_text(row.state)
            self.addItem(f"{detail}   {row.name}", row.run)  # the figure first: a long name is elided
            self.setItemData(self.count() - 1, row.name, Qt.ItemDataRole.ToolTipRole)
        self._select_current(self._runs.selected)

    def _select_current(self, run: object) -> None:
        selected = self._runs.selected
        paths = [self.itemData(row).path for row in range(self.count())]
        self.setCurrentIndex(paths.index(selected.path) if selected and selected.path in paths else -1)
