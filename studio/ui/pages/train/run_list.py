"""List of runs: the current one, and selected ones that are drawn beside it."""

from collections.abc import Collection

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from studio.ui.i18n.language import tr
from studio.ui.pages.train.run_model import RunModel
from studio.ui.services.trainer import RunRegistry, RunRow
from studio.ui.widgets.components import Card, IconButton, text_label
from studio.ui.widgets.row_table import set_up_row_table
from studio.ui.widgets.table_model import ROW_ROLE

_COLUMN_WIDTHS = (104, 74, 120, 150, 106)
_OPTIONAL_COLUMNS = (3, 4)
"""Backbone and methods, which the name of a run contains too."""
_MIN_FULL_WIDTH = 760


class _Table(QTableView):
    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: hide the optional columns of a narrow table, so that names are readable."""
        super().resizeEvent(event)
        for column in _OPTIONAL_COLUMNS:
            self.setColumnHidden(column, self.viewport().width() < _MIN_FULL_WIDTH)


class RunList(Card):
    """Card with the runs; ``selection_changed`` carries rows, the current one first."""

    selection_changed = Signal(object)

    def __init__(self, runs: RunRegistry) -> None:
        self.hint = text_label(tr("Select several runs (Ctrl or Shift) to overlay them"), "caption")
        self.folder_button = IconButton(tr("Show run folder"), "folder", self._show_folder)
        super().__init__(tr("Runs"), heading_items=(self.hint, self.folder_button), padding=14)
        self._runs = runs
        self.model = RunModel(self)
        self._make_table()
        self.empty_label = text_label(
            tr("Runs appear here. Each run is a folder with its own recipe."), "muted", wrap=True
        )
        self.empty_label.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.body.addWidget(self.empty_label, 1)
        self.body.addWidget(self.table, 1)
        runs.changed.connect(self.show_rows)
        runs.selected_changed.connect(self.select_current_run)
        self.show_rows(runs.rows)

    def _make_table(self) -> None:
        table = self.table = set_up_row_table(_Table(), self.model, tr("Runs"), 30)
        table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        table.setTabKeyNavigation(False)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in enumerate(_COLUMN_WIDTHS, 1):
            table.setColumnWidth(column, width)
        table.selectionModel().currentChanged.connect(self._current_changed)
        table.selectionModel().selectionChanged.connect(lambda *_: self.selection_changed.emit(self.selected_rows()))

    def show_rows(self, rows: tuple[RunRow, ...]) -> None:
        """Show ``rows``; the current run stays selected."""
        self.model.show_rows(rows)
        for widget in (self.table, self.hint, self.folder_button):
            widget.setVisible(bool(rows))
        self.empty_label.setVisible(not rows)
        self.select_current_run()

    def select_current_run(self) -> None:
        """Select the run that the pages show."""
        selected = self._runs.selected
        row = self.model.row_of(selected.path.name) if selected else -1
        if row >= 0 and self.table.currentIndex().row() != row:
            flags = QItemSelectionModel.SelectionFlag
            self.table.selectionModel().setCurrentIndex(self.model.index(row, 0), flags.ClearAndSelect | flags.Rows)

    def selected_rows(self) -> tuple[RunRow, ...]:
        """Return the selected rows, the current one first."""
        current = self.table.currentIndex()
        selected = [index.data(ROW_ROLE) for index in self.table.selectionModel().selectedRows()]
        first = current.data(ROW_ROLE) if current.isValid() else None
        return (*((first,) if first else ()), *(row for row in selected if not first or row.name != first.name))

    def add_to_selection(self, names: Collection[str]) -> None:
        """Select the runs called ``names`` too."""
        flags = QItemSelectionModel.SelectionFlag
        for number, row in enumerate(self.model.rows):
            if row.name in names:
                self.table.selectionModel().select(self.model.index(number, 0), flags.Select | flags.Rows)

    def _current_changed(self, current: QModelIndex) -> None:
        if current.isValid():
            self._runs.select(current.data(ROW_ROLE).run)

    def _show_folder(self) -> None:
        if self._runs.selected is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._runs.selected.path)))
