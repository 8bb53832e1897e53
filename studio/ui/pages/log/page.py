"""The log: what the program did and what went wrong, as it happens."""

import logging

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QComboBox, QHeaderView, QLineEdit, QPlainTextEdit, QSplitter, QTableView

from studio.ui.i18n.language import tr
from studio.ui.pages.base import Page
from studio.ui.pages.log.log_model import LogModel
from studio.ui.services.app_log import LogLine, app_log
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.components import Card, HBox, VBox, button, container, text_label
from studio.ui.widgets.fields import guard_wheel
from studio.ui.widgets.row_table import set_up_row_table
from studio.ui.widgets.table_model import ROW_ROLE

_LEVELS = (("Everything", logging.NOTSET), ("Warnings and errors", logging.WARNING), ("Errors only", logging.ERROR))


class LogPage(Page):
    """Beside the steps: reached from the menu, and from errors."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            workspace,
            tr("Log"),
            tr("What the program did and what went wrong, the newest first. Nothing leaves this machine."),
        )
        self.model = LogModel(self)
        self._build()
        app_log().line_added.connect(self._add)
        self._apply_filter()

    def _build(self) -> None:
        self.level = QComboBox()
        for words, level in _LEVELS:
            self.level.addItem(tr(words), level)
        self.level.setAccessibleName(tr("Which entries"))
        guard_wheel(self.level)
        self.level.activated.connect(lambda row: self._apply_filter())
        self.search = QLineEdit()
        self.search.setPlaceholderText(tr("Find in the log"))
        self.search.setAccessibleName(tr("Find in the log"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(lambda words: self._apply_filter())
        bar = HBox(
            self.level,
            (self.search, 1),
            button(tr("Copy report"), self.copy_report, "copy"),
            button(tr("Open the file"), self._open_file, "open"),
        )
        split = QSplitter()
        self.empty_label = text_label("", "muted", wrap=True)
        split.addWidget(container(VBox(self.empty_label, (self._table(), 1))))
        self.entry_view = QPlainTextEdit()
        self.entry_view.setReadOnly(True)
        self.entry_view.setTabChangesFocus(True)
        self.entry_view.setAccessibleName(tr("The whole entry"))
        split.addWidget(self.entry_view)
        self.entry_view.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self.entry_view.setPlaceholderText(tr("Choose an entry to read all of it."))
        split.setSizes([700, 360])
        self.set_content(Card("", bar, (split, 1), padding=14))

    def _table(self) -> QTableView:
        table = self.table = set_up_row_table(QTableView(), self.model, tr("Entries of the log"), 26)
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
        words = self.search.text().strip().lower()
        return entry.level >= self.level.currentData() and words in entry.text.lower()

    def _apply_filter(self) -> None:
        self.model.show_rows([line for line in reversed(app_log().lines) if self._matches_filter(line)])
        narrowed = tr("Nothing in the log fits. Choose Everything, or search for something else.")
        self.empty_label.setText(narrowed if app_log().lines else tr("Nothing has happened yet."))
        self.empty_label.setVisible(not self.model.rows)

    def _add(self, entry: LogLine) -> None:
        if self._matches_filter(entry):
            self.model.add(entry)
            self.empty_label.hide()

    def _show(self, entry: LogLine | None) -> None:
        self.entry_view.setPlainText(entry.text if entry else "")

    def copy_report(self) -> None:
        """Put versions and the last entries onto the clipboard."""
        QGuiApplication.clipboard().setText(app_log().report())

    def _open_file(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(app_log().path)))
