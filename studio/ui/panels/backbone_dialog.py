"""The dialog in which a backbone is chosen: search the catalogue, or bring a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QDialog,
    QFileDialog,
    QHeaderView,
    QLineEdit,
    QRadioButton,
    QTableView,
    QWidget,
)

from studio.core.recipe import Backbone
from studio.ui.figures import plural
from studio.ui.jobs import sentence
from studio.ui.language import tr
from studio.ui.models.backbones import Backbones
from studio.ui.models.table import ROW_ROLE
from studio.ui.widgets.parts import Column, Notice, Row, button, text
from studio.ui.workspace import Workspace

if TYPE_CHECKING:
    from studio.backbones.catalogue import Entry


class BackboneDialog(QDialog):
    """``chosen`` carries a backbone that can be built; a checkpoint has been read and fits."""

    chosen = Signal(object)

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._engine = workspace.engine
        self.setWindowTitle(tr("Choose a backbone"))
        self.resize(780, 600)
        self.search = QLineEdit()
        self.search.setPlaceholderText(tr("Search by name, such as vit_base or convnext"))
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(tr("Search backbones"))
        self.model = Backbones(self)
        self.table = self._make_table()
        self.found = text("", "caption")
        self.notice = Notice()
        self.accept_button = button(tr("Use this backbone"), self._use, kind="primary")
        self.accept_button.setDefault(True)
        self._file = ""
        self.file_name = text("", "caption")
        self.setLayout(
            Column(
                text(tr("Choose a backbone"), "title"),
                text(tr("The pretrained network to adapt. Its weights stay frozen."), "muted"),
                self.search,
                (self.table, 1),
                self.found,
                self._weights_row(),
                self.notice,
                Row(None, button(tr("Cancel"), self.reject), self.accept_button),
                gap=10,
                margins=(24, 20, 24, 20),
            )
        )
        self.search.textChanged.connect(self._search)
        workspace.engine.loaded.connect(lambda: self._search(self.search.text()))
        self._search("")
        self.search.setFocus()

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self.model)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setShowGrid(False)
        table.setProperty("role", "framed")
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(30)
        header = table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in ((1, 90), (2, 170), (3, 160)):
            table.setColumnWidth(column, width)
        table.doubleClicked.connect(lambda index: self._use())
        table.selectionModel().currentChanged.connect(self._current_changed)
        table.setAccessibleName(tr("Backbones"))
        return table

    def _weights_row(self) -> Row:
        self.pretrained = QRadioButton(tr("Pretrained weights"))
        self.random = QRadioButton(tr("Random weights"))
        self.local = QRadioButton(tr("A checkpoint of mine"))
        self.pretrained.setChecked(True)
        self._group = QButtonGroup(self)
        for choice in (self.pretrained, self.random, self.local):
            self._group.addButton(choice)
        self.browse = button(tr("Choose file…"), self._browse, "folder")
        self.browse.setAutoDefault(False)  # Enter in the search takes the backbone, and opens no file dialog
        return Row(self.pretrained, self.random, self.local, self.browse, (self.file_name, 1), gap=14)

    def _search(self, words: str) -> None:
        if self._engine.ready:
            self._engine.search(words.strip(), self._show)
        else:
            self.found.setText(tr("Loading the engine…"))

    def _show(self, entries: "list[Entry]") -> None:
        words = self.search.text().strip().lower()
        entries = sorted(entries, key=lambda entry: not entry.name.lower().startswith(words))
        self.model.show_rows(entries)
        self.found.setText(plural(len(entries), "backbone") if entries else tr("No backbone has that in its name."))
        if entries:
            self.table.selectRow(0)
        self.accept_button.setEnabled(bool(entries))

    def _current_changed(self, current: QModelIndex) -> None:
        entry = current.data(ROW_ROLE)
        bundled = entry is not None and entry.source == "bundled"
        self.random.setEnabled(not bundled)
        self.local.setEnabled(not bundled)
        if bundled:
            self.pretrained.setChecked(True)
        self.notice.say("")

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, tr("Choose a checkpoint"), "", f"{tr('Checkpoints')} (*.safetensors);;{tr('All files')} (*)"
        )
        if path:
            self.use_file(path)

    def use_file(self, path: str) -> None:
        """Take the weights from the file or timm folder ``path``."""
        self._file = path
        self.notice.say("")
        self.file_name.setText(Path(path).name)
        self.local.setEnabled(True)
        self.local.setChecked(True)

    def backbone(self) -> Backbone | None:
        """What is chosen; None where nothing is."""
        entry = self.table.currentIndex().data(ROW_ROLE)
        if entry is None:
            return None
        if self.local.isChecked():
            return Backbone(name=entry.name, source="local", weights=self._file)
        return Backbone(name=entry.name, source=entry.source, pretrained=self.pretrained.isChecked())

    def _use(self) -> None:
        backbone = self.backbone()
        if backbone is None:
            return
        if backbone.source != "local":
            self._accept(backbone)
        elif not self._file:
            self.notice.say(tr("Choose the checkpoint file first."), "warn")
        else:
            self.accept_button.setEnabled(False)
            self.notice.say(tr("Reading the checkpoint…"), "info")
            self._engine.verify(backbone, lambda _: self._accept(backbone), self._refuse)

    def _refuse(self, error: Exception) -> None:
        self.accept_button.setEnabled(True)
        self.notice.say(sentence(error), "bad")

    def _accept(self, backbone: Backbone) -> None:
        self.chosen.emit(backbone)
        self.accept()
