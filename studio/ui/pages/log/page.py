"""The log: what the program did and what went wrong, as it happens."""

import logging

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QComboBox, QHeaderView, QLineEdit, QPlainTextEdit, QSplitter, QTableView

from studio.ui.i18n.language import tr
from studio.ui.pages.base import Page
from studio.ui.pages.log.log_model import LogLines
from studio.ui.services.app_log import Line, log
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.components import Card, Column, Row, button, holder, text
from studio.ui.widgets.fields import guard_wheel
from studio.ui.widgets.row_table import row_table
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
        self.model = LogLines(self)
        self._build()
        log().grown.connect(self._add)
        self._filter()

    def _build(self) -> None:
        self.level = QComboBox()
        for words, level in _LEVELS:
            self.level.addItem(tr(words), level)
        self.level.setAccessibleName(tr("Which entries"))
        guard_wheel(self.level)
        self.level.activated.connect(lambda row: self._filter())
        self.search = QLineEdit()
        self.search.setPlaceholderText(tr("Find in the log"))
        self.search.setAccessibleName(tr("Find in the log"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(lambda words: self._filter())
        bar = Row(
            self.level,
            (self.search, 1),
            button(tr("Copy report"), self.copy, "copy"),
            button(tr("Open the file"), self._open, "open"),
        )
        split = QSplitter()
        self.none = text("", "muted", wrap=True)
        split.addWidget(holder(Column(self.none, (self._table(), 1))))
        self.whole = QPlainTextEdit()
        self.whole.setReadOnly(True)
        self.whole.setTabChangesFocus(True)
        self.whole.setAccessibleName(tr("The whole entry"))
        split.addWidget(self.whole)
        self.whole.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self.whole.setPlaceholderText(tr("Choose an entry to read all of it."))
        split.setSizes([700, 360])
        self.fill(Card("", bar, (split, 1), padding=14))

    def _table(self) -> QTableView:
        table = self.table = row_table(QTableView(), self.model, tr("Entries of the log"), 26)
        table.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        table.setTabKeyNavigation(False)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        table.setColumnWidth(0, 90)
        table.setColumnWidth(1, 90)
        table.selectionModel().currentChanged.connect(lambda current, before: self._show(current.data(ROW_ROLE)))
        return table

    def _fits(self, line: Line) -> bool:
        words = self.search.text().strip().lower()
        return line.level >= self.level.currentData() and words in line.text.lower()

    def _filter(self) -> None:
        self.model.show_rows([line for line in reversed(log().lines) if self._fits(line)])
        narrowed = tr("Nothing in the log fits. Choose Everything, or search for something else.")
        self.none.setText(narrowed if log().lines else tr("Nothing has happened yet."))
        self.none.setVisible(not self.model.rows)

    def _add(self, line: Line) -> None:
        if self._fits(line):
            self.model.add(line)
            self.none.hide()

    def _show(self, line: Line | None) -> None:
        self.whole.setPlainText(line.text if line else "")

    def copy(self) -> None:
        """Put versions and the last entries onto the clipboard."""
        QGuiApplication.clipboard().setText(log().report())

    def _open(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(log().path)))
