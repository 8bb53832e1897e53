"""Method guide: when to use which method, with measurements on the sample images."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QAbstractItemView, QGridLayout, QHeaderView, QSplitter, QTableView, QWidget

from studio.core.messages import N_
from studio.ui.i18n.language import localized, tr
from studio.ui.pages.base import Page
from studio.ui.pages.guide.guide_model import FAMILY_ADVICE, Guide, GuideModel, GuideRow, family_title, read_guide
from studio.ui.pages.registry import PageSpec, register
from studio.ui.services.error_text import error_message
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.components import Banner, Card, HBox, VBox, button, container, scroll_area, text_label
from studio.ui.widgets.row_table import set_up_row_table
from studio.ui.widgets.table_model import ROW_ROLE


class GuidePage(Page):
    """Advice by family, a table of the methods, and details of the selected one."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace, tr("Method guide"), tr("When to use which method, and what it costs."))
        self.model = GuideModel(self)
        self._requested = False
        self._pending_method = self._followed_method = ""
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(self._table())
        splitter.addWidget(self._detail())
        splitter.setSizes([880, 320])
        splitter.setStretchFactor(0, 1)
        self.set_content(VBox(self._advice(), (splitter, 1), gap=14))

    # building

    def _advice(self) -> QWidget:
        lines = QGridLayout()
        lines.setHorizontalSpacing(14)
        lines.setVerticalSpacing(4)
        lines.setColumnStretch(1, 1)
        lines.setColumnStretch(3, 1)
        for number, (family, advice) in enumerate(FAMILY_ADVICE.items()):
            title, text = text_label(family_title(family), "field"), text_label(localized(advice), "muted", wrap=True)
            for column, label in enumerate((title, text)):
                lines.addWidget(label, number // 2, 2 * (number % 2) + column, Qt.AlignmentFlag.AlignTop)
        return Card(tr("In short"), lines, padding=14)

    def _table(self) -> QWidget:
        table = self.table = set_up_row_table(QTableView(), self.model, tr("Methods and measurements"), 28)
        table.setWordWrap(False)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        table.selectionModel().currentRowChanged.connect(self._method_selected)
        self.conditions = text_label("", "caption", wrap=True)
        return Card(tr("Measurements"), (table, 1), self.conditions, padding=14)

    def _detail(self) -> QWidget:
        self.name, self.family = text_label("", "heading", wrap=True), text_label("", "caption")
        self.summary, self.advice_banner = text_label("", wrap=True), Banner()
        self.merging, self.exports = text_label("", "muted", wrap=True), text_label("", "muted", wrap=True)
        self.paper = button(tr("Open paper"), self._open, "link", "quiet")
        self._address = ""
        inner = VBox(
            self.name, self.family, self.summary, self.advice_banner, self.merging, self.exports,
            HBox(self.paper, None), None, gap=10, margins=(0, 0, 8, 0),
        )  # fmt: skip
        card = Card("", (scroll_area(container(inner)), 1), padding=14)
        card.setMinimumWidth(240)
        return card

    # showing

    def showEvent(self, event: object) -> None:
        """Qt: the page comes into view; read the guide the first time."""
        super().showEvent(event)  # type: ignore[arg-type]
        if not self._requested:
            self._requested = True
            self.workspace.worker.submit(read_guide, self._show, self._failed, "guide")
        if (chosen := self.workspace.chosen_method) and chosen != self._followed_method:
            self.show_method(chosen)
        self._followed_method = ""

    def show_method(self, name: str) -> None:
        """Select the method called ``name``, now or once the guide is read."""
        self._pending_method = name
        row = next((i for i, row in enumerate(self.model.rows) if row.name == name), -1)
        if row >= 0:
            self.table.setCurrentIndex(self.model.index(row, 0))

    def _failed(self, error: Exception) -> None:
        self._requested = False
        self.banner.show_message(error_message(error), "bad")

    def _show(self, guide: Guide) -> None:
        self.conditions.setText(guide.conditions or tr("No measurements yet."))
        self.model.show_rows(guide.rows)
        self.show_method(self._pending_method or guide.rows[0].name)

    def _method_selected(self, now: QModelIndex, before: QModelIndex) -> None:
        if not now.isValid():
            return
        row: GuideRow = now.data(ROW_ROLE)
        self.name.setText(localized(row.label))
        self.family.setText(family_title(row.family))
        self.summary.setText(localized(row.summary))
        self.advice_banner.show_message(localized(row.advice), "info")
        mergeable = tr("Merges into the backbone, without extra inference cost.")
        self.merging.setText(localized(row.not_mergeable_reason) or mergeable)
        self.exports.setText(tr("Exports: {formats}", formats=", ".join(row.exports)) if row.exports else "")
        self.paper.setToolTip(row.paper)
        self._address = row.paper.rpartition(", ")[2]
        self.paper.setVisible(self._address.startswith("http"))

    def _open(self) -> None:
        QDesktopServices.openUrl(self._address)

    # state that survives a rebuild of the window

    def view_state(self) -> dict[str, Any]:
        """Return the selected method, and that of the palette, which it may differ from."""
        row: GuideRow | None = self.table.currentIndex().data(ROW_ROLE)
        return {"method": row.name if row else self._pending_method, "followed": self.workspace.chosen_method}

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Look like the page that returned ``state``."""
        self._followed_method = state.get("followed", "")
        self.show_method(state.get("method", ""))


PAGE = register(PageSpec("guide", N_("Method guide"), "info", GuidePage, "Ctrl+F1", menu=N_("Help")))
