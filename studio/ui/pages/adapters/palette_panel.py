"""The palette panel: the backbone, and the palette of methods and presets."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QStackedWidget, QWidget

from studio.core.layers import Layer
from studio.core.recipe import Backbone
from studio.ui.i18n.language import tr
from studio.ui.pages.adapters.palette_model import Palette
from studio.ui.pages.adapters.palette_view import PaletteView
from studio.ui.services.drag_payload import DragPayload
from studio.ui.services.method_rows import MethodRow, preset_rows
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import format_count
from studio.ui.widgets.components import Card, EmptyState, HBox, IconButton, VBox, button, text_label
from studio.ui.widgets.scroll import restore_scroll
from studio.ui.widgets.segmented_control import SegmentedControl

METHODS_TAB, PRESETS_TAB = range(2)


class PalettePanel(QWidget):
    """The name of the backbone, and the methods and presets to attach to it."""

    backbone_requested = Signal()
    attach_requested = Signal()

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._methods: tuple[MethodRow, ...] = ()
        self._presets = preset_rows()
        self.model = Palette(self)
        self.list_view = PaletteView()
        self.list_view.setModel(self.model)
        self.setLayout(VBox(self._backbone(), (self._palette(), 1), gap=14))

    def _backbone(self) -> QWidget:
        self.backbone_name = text_label("", "heading", wrap=True)
        self.backbone_note = text_label("", "caption", wrap=True)
        self.choose_button = button(tr("Choose backbone…"), self.backbone_requested.emit, "search")
        card = Card(tr("Backbone"), self.backbone_name, self.backbone_note, 2, self.choose_button, gap=4)
        card.heading.setProperty("role", "caption")
        return card

    def _palette(self) -> QWidget:
        self.attach_button = button(tr("Attach to selection"), self.attach_requested.emit, "plus")
        self.attach_button.setToolTip(tr("Attach the selected method to the selected rows (Enter in the tree)"))
        text = tr("PyTorch takes a few seconds to start.")
        self.loading = EmptyState("refresh", tr("Loading the engine"), text, width=180)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.loading)
        self.stack.addWidget(self.list_view)
        self.kind_switch = SegmentedControl(tr("Methods or presets"), ((tr("Methods"), ""), (tr("Presets"), "")))
        self.kind_switch.chosen.connect(self._show_kind)
        self.filter_edit = QLineEdit()
        self.filter_edit.setPlaceholderText(tr("Find method"))
        self.filter_edit.setClearButtonEnabled(True)
        self.filter_edit.setAccessibleName(tr("Find method"))
        self.filter_edit.textChanged.connect(self._apply_filter)
        guide_button = IconButton(tr("Method guide"), "info", lambda: self._workspace.page_requested.emit("guide"))
        find = HBox((self.filter_edit, 1), guide_button, gap=4)
        return Card("", self.kind_switch, find, (self.stack, 1), self.attach_button, gap=8, padding=12)

    @property
    def payload(self) -> DragPayload:
        """The payload of the selected row; an empty name without one."""
        row = self.list_view.selected_row
        return row.payload if row else ""

    @property
    def methods(self) -> tuple[MethodRow, ...]:
        """All methods by family."""
        return self._methods

    @property
    def presets(self) -> tuple[MethodRow, ...]:
        """All presets."""
        return self._presets

    def show_methods(self, rows: tuple[MethodRow, ...]) -> None:
        """Show the methods, once the engine knows them."""
        self._methods = rows
        self.stack.setCurrentWidget(self.list_view)
        self.model.show_methods(rows)
        self._apply_filter(self.filter_edit.text())

    def view_state(self) -> dict[str, Any]:
        """Return the shown kind, the filter, the selected row and the scroll position."""
        return {
            "kind": self.kind_switch.current,
            "filter": self.filter_edit.text(),
            "selected": self.list_view.selected_name,
            "scroll": self.list_view.verticalScrollBar().value(),
        }

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Restore the values of :meth:`view_state`."""
        kind = state.get("kind", METHODS_TAB)
        self.kind_switch.set_current(kind)
        self.filter_edit.setText(state.get("filter", ""))
        self._show_kind(kind)
        if (row := self.model.row_of(state.get("selected", ""))) >= 0:
            self.list_view.setCurrentIndex(self.model.index(row))
        restore_scroll(self.list_view, state.get("scroll", 0))

    def _show_kind(self, kind: int) -> None:
        self.model.show_methods(self._presets if kind == PRESETS_TAB else self._methods)
        self._apply_filter(self.filter_edit.text())

    def show_backbone(self, backbone: Backbone, layers: tuple[Layer, ...]) -> None:
        """Show name and origin of the backbone, and its size if its ``layers`` are known."""
        self.backbone_name.setText(backbone.name.replace("_", "_\u200b"))  # a line may break there
        self.backbone_name.setToolTip(backbone.name)
        note = _origin_text(backbone)
        if layers:
            note = tr("{note}\n{parameters} parameters", note=note, parameters=format_count(layers[0].parameters))
        self.backbone_note.setText(note)

    def refresh_unsupported(self) -> None:
        """Find out which rows the backbone does not support."""
        self._workspace.engine.unsupported_methods((*self._methods, *self._presets), self.model.show_unsupported)

    def _apply_filter(self, query: str) -> None:
        chosen = self.list_view.selected_name
        self.model.show_filter(query)
        row = max(0, self.model.row_of(chosen))
        if self.model.rowCount():
            self.list_view.setCurrentIndex(self.model.index(row))


def _origin_text(backbone: Backbone) -> str:
    if backbone.source == "bundled":
        return tr("Included, pretrained") if backbone.pretrained else tr("Included, random weights")
    if backbone.source == "timm":
        return tr("From timm, pretrained") if backbone.pretrained else tr("From timm, random weights")
    return tr("From your checkpoint")
