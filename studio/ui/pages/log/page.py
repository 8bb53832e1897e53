"""Log page: messages of the program as they come."""

import logging
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QComboBox, QHeaderView, QLineEdit, QPlainTextEdit, QSplitter, QTableView

from studio.core.messages import N_
from studio.ui.i18n.language import localized, tr
from studio.ui.pages.base import Page
from studio.ui.pages.log.log_model import LogModel
from studio.ui.pages.registry import PageSpec, register
from studio.ui.services.app_log import LogLine, app_log
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.components import Card, HBox, VBox, button, container, text_label
from studio.ui.widgets.fields import guard_wheel
from studio.ui.widgets.row_table import set_up_row_table
from studio.ui.widgets.scroll import restore_scroll
from studio.ui.widgets.table_model import ROW_ROLE

_LEVELS = (
    (N_("All levels"), logging.NOTSET),
    (N_("Warnings and errors"), logging.WARNING),
    (N_("Errors only"), logging.ERROR),
)


class LogPage(Page):
    """Page beside the steps, reached from the menu and from errors."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            workspace,
            tr("Log"),
            tr("Messages of the program, newest first. Nothing leaves this machine."),
        )
        self.model = LogModel(self)
        self._build()
        app_log().line_added.connect(self._add)
        self._apply_filter()

    def _build(self) -> None:
        self.level = QComboBox()
        for title, level in _LEVELS:
            self.level.addItem(localized(title), level)
        self.level.setAccessibleName(tr("Levels"))
        guard_wheel(self.level)
        self.level.activated.connect(lambda row: self._apply_filter())
        self.search = QLineEdit()
        self.search.setPlaceholderText(tr("Search log"))
        self.search.setAccessibleName(tr("Search log"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(lambda text: self._apply_filter())
        bar = HBox(
            self.level,
            (self.search, 1),
            button(tr("Copy report"), self.copy_report, "copy"),
            button(tr("Open log file"), self._open_file, "open"),
        )
        split = QSplitter()
        self.empty_label = text_label("", "muted", wrap=True)
        self.empty_label.setAlignment(Qt.AlignmentFlag.AlignTop)
        split.addWidget(container(VBox((self.empty_label, 1), (self._table(), 1))))
        self.entry_view = QPlainTextEdit()
        self.entry_view.setReadOnly(True)
        self.entry_view.setTabChangesFocus(True)
        self.entry_view.setAccessibleName(tr("Full entry"))
        split.addWidget(self.entry_view)
        self.entry_view.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self.entry_view.setPlaceholderText(tr("Select an entry to read it in full"))
        split.setSizes([700, 360])
        self.set_content(Card("", bar, (split, 1), padding=14))

    def _table(self) -> QTableView:
        table = self.table = set_up_row_table(QTableView(), self.model, tr("Log entries"), 26)
        table.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        table.setTabKeyNavigation(False)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        table.setColumnWidth(0, 90)
        table.setColumnWidth(1, 90)
        table.selectionModel().currentChanged.connect(lambda current, before: self._show(current.data(ROW_ROLE)))
        return table

    def _matches_filter(self, entry: LogLine) -> bool:
        query = self.search.text().strip().lower()
        return entry.level >= self.level.currentData() and query in entry.text.lower()

    def _apply_filter(self) -> None:
        self.model.show_rows([line for line in reversed(app_log().lines) if self._matches_filter(line)])
        self.empty_label.setText(
            tr("No matching entries. Choose All levels, or change the search.")
            if app_log().lines
            else tr("No entries yet.")
        )
        self._show_table()

    def _add(self, entry: LogLine) -> None:
        if self._matches_filter(entry):
            self.model.add(entry)
            self._show_table()

    def _show_table(self) -> None:
        self.empty_label.setVisible(not self.model.rows)
        self.table.setVisible(bool(self.model.rows))

    def _show(self, entry: LogLine | None) -> None:
        self.entry_view.setPlainText(entry.text if entry else "")

    def copy_report(self) -> None:
        """Copy versions and the last entries to the clipboard."""
        QGuiApplication.clipboard().setText(app_log().report())

    def _open_file(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(app_log().path)))

    # state that survives a rebuild of the window

    def view_state(self) -> dict[str, Any]:
        """Return level, search text, selected row and scroll position."""
        return {
            "level": self.level.currentIndex(),
            "search": self.search.text(),
            "row": self.table.currentIndex().row(),
            "scroll": self.table.verticalScrollBar().value(),
        }

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Look like the page that returned ``state``."""
        self.level.setCurrentIndex(state.get("level", 0))
        self.search.setText(state.get("search", ""))
        self._apply_filter()
        self.table.selectRow(state.get("row", -1))
        restore_scroll(self.table, state.get("scroll", 0))


PAGE = register(PageSpec("log", N_("Log"), "", LogPage, "Ctrl+L"))
