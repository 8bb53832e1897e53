"""The dialog to choose a backbone: search, download, or use a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QAction, QHideEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QDialog,
    QFileDialog,
    QHeaderView,
    QLineEdit,
    QRadioButton,
    QTableView,
    QWidget,
)

from studio.core.recipe import Backbone
from studio.ui.i18n.language import tr, tr_n
from studio.ui.pages.adapters.backbone_model import NAME, BackboneFilter, BackboneModel
from studio.ui.pages.adapters.download_bar import DownloadBar
from studio.ui.services.error_text import error_message
from studio.ui.services.workspace import Workspace
from studio.ui.shared.error_banner import ErrorBanner
from studio.ui.widgets.components import Banner, HBox, VBox, button, text_label
from studio.ui.widgets.fields import guard_wheel
from studio.ui.widgets.row_table import set_up_row_table
from studio.ui.widgets.table_model import ROW_ROLE

if TYPE_CHECKING:
    from studio.backbones.catalog import CatalogEntry

_COLUMN_WIDTHS = {1: 128, 2: 88, 3: 84, 4: 70, 5: 262, 6: 158}
_PARAMETER_LIMITS = ((10, 10_000_000), (30, 30_000_000), (100, 100_000_000), (400, 400_000_000))


class BackboneDialog(QDialog):
    """The dialog; ``chosen`` carries a backbone that can be built."""

    chosen = Signal(object)

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._engine, self._downloads = workspace.engine, workspace.downloads
        self._entries: list[CatalogEntry] = []
        self._file = self._corrected_query = ""
        self.setWindowTitle(tr("Choose a backbone"))
        self.resize(1120, 640)
        self.model = BackboneModel(self)
        self.table = self._make_table()
        self.result_label = text_label("", "caption")
        self.license_notice, self.banner = Banner(), ErrorBanner()
        self._downloaded_action = QAction(tr("Show downloaded only"), self)
        self._downloaded_action.triggered.connect(self.show_downloaded)
        self._file_action = QAction(tr("Choose another file…"), self)
        self._file_action.triggered.connect(self.choose_file)
        self.download_bar = DownloadBar(workspace.downloads)
        self.download_bar.finished.connect(self._download_finished)
        self._build()
        self.search.textChanged.connect(self._search)
        workspace.engine.loaded.connect(self._search_again)
        self._search("")
        self.search.setFocus()

    # building

    def _build(self) -> None:
        self.search = QLineEdit()
        self.search.setPlaceholderText(tr("Search by name or family, such as vit_base or convnext"))
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(tr("Search backbones"))
        self.accept_button = button(tr("Use this backbone"), self._use, kind="primary")
        self.accept_button.setDefault(True)
        self.later_button = button(tr("Use, download later"), self._use_later)
        self.later_button.setToolTip(tr("Attach adapters now; the weights are downloaded when training starts"))
        self.cancel_button = button(tr("Cancel"), self.reject)
        description = text_label(tr("The pretrained network to adapt. Its weights stay frozen."), "muted")
        self.setLayout(
            VBox(
                text_label(tr("Choose a backbone"), "title"),
                description,
                HBox((self.search, 1), *self._filters(), gap=10),
                (self.table, 1),
                self.result_label,
                self._weights_row(),
                self.license_notice,
                self.download_bar,
                self.banner,
                HBox(None, self.cancel_button, self.later_button, self.accept_button),
                gap=10,
                margins=(24, 20, 24, 20),
            )
        )

    def _filters(self) -> tuple[QWidget, ...]:
        self.downloaded_only = QCheckBox(tr("Downloaded only"))
        self.license_filter = QComboBox()
        self.license_filter.addItem(tr("Any license"), False)
        self.license_filter.addItem(tr("Commercial use allowed"), True)
        self.license_filter.setAccessibleName(tr("License of the weights"))
        self.size_filter = QComboBox()
        self.size_filter.addItem(tr("Any size"), 0)
        for millions, max_parameters in _PARAMETER_LIMITS:
            self.size_filter.addItem(tr("Up to {n} M parameters", n=millions), max_parameters)
        self.size_filter.setAccessibleName(tr("Number of parameters"))
        self.downloaded_only.toggled.connect(lambda on: self._apply_filters(self.selected_entry))
        for choice in (self.license_filter, self.size_filter):
            guard_wheel(choice)
            choice.currentIndexChanged.connect(lambda row: self._apply_filters(self.selected_entry))
        return self.downloaded_only, self.license_filter, self.size_filter

    def _make_table(self) -> QTableView:
        table = set_up_row_table(QTableView(), self.model, tr("Backbones"), 30)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setTabKeyNavigation(False)
        table.setProperty("role", "framed")
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setSortIndicatorClearable(True)
        table.setSortingEnabled(True)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        for column, width in _COLUMN_WIDTHS.items():
            table.setColumnWidth(column, width)
        table.doubleClicked.connect(lambda index: self._use())
        table.selectionModel().currentChanged.connect(self._current_changed)
        return table

    def _weights_row(self) -> HBox:
        self.pretrained = QRadioButton(tr("Pretrained weights"))
        self.random = QRadioButton(tr("Random weights"))
        self.local = QRadioButton(tr("My own checkpoint"))
        self.pretrained.setChecked(True)
        self._group = QButtonGroup(self)
        for choice in (self.pretrained, self.random, self.local):
            self._group.addButton(choice)
        self._group.buttonToggled.connect(lambda *_: self._show_choice())
        self.browse = button(tr("Choose file…"), self.choose_file, "folder")
        self.file_name = text_label("", "caption")
        return HBox(self.pretrained, self.random, self.local, self.browse, (self.file_name, 1), gap=14)

    # search

    def _search_again(self) -> None:
        self._search(self.search.text())

    def _search(self, query: str) -> None:
        if self._engine.ready:
            self._engine.search(query.strip(), self._show)
        else:
            self.result_label.setText(tr("Loading the engine…"))

    def _show(self, result: "tuple[list[CatalogEntry], str]") -> None:
        self._entries, self._corrected_query = result
        self._apply_filters()

    def _apply_filters(self, entry: "CatalogEntry | None" = None) -> None:
        """Show the found entries that pass the filters, and select ``entry``."""
        backbone_filter = BackboneFilter(
            self.downloaded_only.isChecked(),
            bool(self.license_filter.currentData()),
            int(self.size_filter.currentData()),
        )
        self.model.show_entries([e for e in self._entries if backbone_filter.accepts(e)])
        rows = self.model.rows
        self.result_label.setText(self._result_text(len(rows)))
        row = next((i for i, row in enumerate(rows) if entry and row.name == entry.name), 0)
        if rows:
            self.table.selectRow(row)
        self._show_choice()

    def _result_text(self, count: int) -> str:
        """Return the number of matches, and the corrected query after a typo."""
        typed = self.search.text().strip()
        if not count:
            return tr("No matching backbones with these filters.") if self._entries else tr("No matching backbones.")
        if self._corrected_query == typed:
            return tr_n("{n:,} backbone", "{n:,} backbones", count)
        return tr_n(
            "No matches for {typed}. Showing {n:,} backbone for {corrected}.",
            "No matches for {typed}. Showing {n:,} backbones for {corrected}.",
            count,
            typed=typed,
            corrected=self._corrected_query,
        )

    @property
    def selected_entry(self) -> "CatalogEntry | None":
        """The selected entry; None without one."""
        entry: CatalogEntry | None = self.table.currentIndex().data(ROW_ROLE)
        return entry

    def _current_changed(self, current: QModelIndex) -> None:
        entry = self.selected_entry
        bundled = entry is not None and entry.source == "bundled"
        self.random.setEnabled(not bundled)
        self.local.setEnabled(not bundled)
        if bundled:
            self.pretrained.setChecked(True)
        self.banner.show_message("")
        self._show_choice()

    def _show_choice(self) -> None:
        """Enable the actions on the selected entry, and show what its license requires."""
        entry, busy = self.selected_entry, self._downloads.busy
        needs_download = entry is not None and self.pretrained.isChecked() and not entry.available
        self.accept_button.setText(tr("Download and use") if needs_download else tr("Use this backbone"))
        self.accept_button.setEnabled(entry is not None and not busy)
        self.later_button.setVisible(needs_download)
        self.later_button.setEnabled(not busy)
        for widget in (self.table, self.search, self.pretrained, self.random, self.local, self.browse):
            widget.setEnabled(not busy and (widget not in (self.random, self.local) or not _is_bundled(entry)))
        warning = _license_warning(entry) if entry is not None and self.pretrained.isChecked() else ""
        self.license_notice.show_message(warning, "warn" if entry is not None and entry.non_commercial else "info")

    # actions

    def show_downloaded(self) -> None:
        """Show only backbones whose weights are on this machine."""
        self.search.clear()
        self.downloaded_only.setChecked(True)

    def choose_file(self) -> None:
        """Ask for a checkpoint."""
        path, _ = QFileDialog.getOpenFileName(
            self, tr("Choose a checkpoint"), "", tr("Checkpoints (*.safetensors);;All files (*)")
        )
        if path:
            self.use_file(path)

    def use_file(self, path: str) -> None:
        """Use the weights in the file or timm folder ``path``."""
        self._file = path
        self.banner.show_message("")
        self.file_name.setText(Path(path).name)
        self.local.setEnabled(True)
        self.local.setChecked(True)

    def selected_backbone(self) -> Backbone | None:
        """Return the chosen backbone; None without a selected entry."""
        entry = self.selected_entry
        if entry is None:
            return None
        if self.local.isChecked():
            return Backbone(name=entry.name, source="local", weights=self._file)
        return Backbone.model_validate(
            {"name": entry.name, "source": entry.source, "pretrained": self.pretrained.isChecked()}
        )

    def _use(self) -> None:
        backbone, entry = self.selected_backbone(), self.selected_entry
        if backbone is None or entry is None or self._downloads.busy:
            return
        if backbone.source == "local":
            self._use_local(backbone)
        elif backbone.pretrained and not entry.available:
            self._download(entry)
        else:
            self._accept(backbone)

    def _use_later(self) -> None:
        if (backbone := self.selected_backbone()) is not None:
            self._accept(backbone)

    def _use_local(self, backbone: Backbone) -> None:
        if not self._file:
            self.banner.show_message(tr("Choose the checkpoint file first."), "warn")
            return
        self.accept_button.setEnabled(False)
        self.banner.show_message(tr("Reading the checkpoint…"), "info")
        self._engine.check_backbone(backbone, lambda _: self._accept(backbone), self._show_check_error)

    def _download(self, entry: "CatalogEntry") -> None:
        self.banner.show_message("")
        if entry.repository:
            self.download_bar.download(entry.name, entry.repository)
            self._show_choice()
        else:
            words = tr("These weights are published only as a pickle, which can run code. Choose another backbone.")
            self.banner.show_message(words, "bad", self._downloaded_action)

    def _download_finished(self, error: str | None) -> None:
        """Use the downloaded backbone, or show why the download failed.

        ``error`` is None if it was canceled.
        """
        self._show_choice()
        if error:
            self.banner.show_message(error, "bad", self._downloaded_action)
        elif error is not None and (backbone := self.selected_backbone()) is not None:
            self._search(self.search.text())
            self._accept(backbone)

    def _show_check_error(self, error: Exception) -> None:
        self.accept_button.setEnabled(True)
        self.banner.show_message(error_message(error), "bad", self._file_action)

    def _accept(self, backbone: Backbone) -> None:
        self.banner.show_message("")
        self._show_choice()  # the dialog may be opened again
        self.chosen.emit(backbone)
        self.accept()

    def hideEvent(self, event: QHideEvent) -> None:
        """Qt: cancel the download when the dialog closes; it is resumed the next time."""
        super().hideEvent(event)
        self.download_bar.cancel()


def _is_bundled(entry: "CatalogEntry | None") -> bool:
    return entry is not None and entry.source == "bundled"


def _license_warning(entry: "CatalogEntry") -> str:
    """Return what the license of the weights forbids or leaves open; empty if nothing."""
    if entry.non_commercial:
        return tr("The license of these weights ({license}) forbids commercial use.", license=entry.license)
    if entry.license == "not stated":
        return tr("No license is stated for these weights. Ask the authors before redistributing derived models.")
    return ""
