"""The choice of a run, on every page that looks at one."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox

from studio.ui.i18n.language import tr
from studio.ui.services.trainer import RunRegistry, RunRow
from studio.ui.style.formatting import format_percent
from studio.ui.widgets.fields import guard_wheel


class RunPicker(QComboBox):
    """Lists the runs; what is chosen here is what all pages look at."""

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
            detail = format_percent(row.accuracy) if row.accuracy is not None else tr(row.state)
            self.addItem(f"{detail}   {row.name}", row.run)  # the figure first: a long name is cut at its end
            self.setItemData(self.count() - 1, row.name, Qt.ItemDataRole.ToolTipRole)
        self._select_current(self._runs.selected)

    def _select_current(self, run: object) -> None:
        selected = self._runs.selected
        names = [self.itemData(row).path for row in range(self.count())]
        self.setCurrentIndex(names.index(selected.path) if selected and selected.path in names else -1)
