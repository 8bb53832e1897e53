"""The list of runs: one is looked at; those selected with it are drawn beside it."""

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from studio.ui.i18n.language import tr
from studio.ui.pages.train.run_model import RunTable
from studio.ui.services.trainer import RunRow, Runs
from studio.ui.widgets.components import Card, IconButton, text
from studio.ui.widgets.row_table import row_table
from studio.ui.widgets.table_model import ROW_ROLE

_WIDTHS = (104, 74, 120, 150, 106)


_WHERE = (3, 4)
"""Backbone and methods, which a run's name tells too."""
_ROOM = 760


class _Table(QTableView):
    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: where there is little room, the names of the runs matter more."""
        super().resizeEvent(event)
        for column in _WHERE:
            self.setColumnHidden(column, self.viewport().width() < _ROOM)


class RunList(Card):
    """``picked`` carries the rows that are selected, the one looked at first."""

    picked = Signal(object)

    def __init__(self, runs: Runs) -> None:
        self.hint = text(tr("Select several with Ctrl or Shift to draw them together"), "caption")
        self.folder = IconButton(tr("Show the folder of the run"), "folder", self._show_folder)
        super().__init__(tr("Runs"), beside=(self.hint, self.folder), padding=14)
        self._runs = runs
        self.model = RunTable(self)
        self._make_table()
        self.none = text(
            tr("Runs are listed here, old and new. Each is a folder that keeps its own recipe."), "muted", wrap=True
        )
        self.none.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.body.addWidget(self.none, 1)
        self.body.addWidget(self.table, 1)
        runs.changed.connect(self.show_rows)
        runs.selected_changed.connect(lambda run: self.mark())
        self.show_rows(runs.rows)

    def _make_table(self) -> None:
        table = self.table = row_table(_Table(), self.model, tr("Runs"), 30)
        table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        table.setTabKeyNavigation(False)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in enumerate(_WIDTHS, 1):
            table.setColumnWidth(column, width)
        table.selectionModel().currentChanged.connect(self._current)
        table.selectionModel().selectionChanged.connect(lambda *_: self.picked.emit(self.rows()))

    def show_rows(self, rows: tuple[RunRow, ...]) -> None:
        """Show the runs; the one that is looked at stays marked."""
        self.model.show_rows(rows)
        for widget in (self.table, self.hint, self.folder):
            widget.setVisible(bool(rows))
        self.none.setVisible(not rows)
        self.mark()

    def mark(self) -> None:
        """Select the run that the pages look at."""
        selected = self._runs.selected
        row = self.model.row_of(selected.path.name) if selected else -1
        if row >= 0 and self.table.currentIndex().row() != row:
            flags = QItemSelectionModel.SelectionFlag
            self.table.selectionModel().setCurrentIndex(self.model.index(row, 0), flags.ClearAndSelect | flags.Rows)

    def rows(self) -> tuple[RunRow, ...]:
        """The selected rows, the one looked at first."""
        current = self.table.currentIndex()
        chosen = [index.data(ROW_ROLE) for index in self.table.selectionModel().selectedRows()]
        first = current.data(ROW_ROLE) if current.isValid() else None
        return (*((first,) if first else ()), *(row for row in chosen if not first or row.name != first.name))

    def _current(self, current: QModelIndex) -> None:
        if current.isValid():
            self._runs.select(current.data(ROW_ROLE).run)

    def _show_folder(self) -> None:
        if self._runs.selected is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._runs.selected.path)))
