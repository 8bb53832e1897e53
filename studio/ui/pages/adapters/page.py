"""The adapters page: the palette, the layer tree to drop on, and the inspector."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QGuiApplication,
    QKeySequence,
    QShortcut,
)
from PySide6.QtWidgets import QMenu, QSplitter, QWidget

from studio.core.layers import Layer
from studio.core.messages import N_
from studio.core.recipe import Backbone, Recipe
from studio.ui.i18n.language import tr
from studio.ui.pages.adapters.backbone_dialog import BackboneDialog
from studio.ui.pages.adapters.compare_bar import CompareBar
from studio.ui.pages.adapters.inspector import Inspector
from studio.ui.pages.adapters.palette_panel import PalettePanel
from studio.ui.pages.adapters.tree_context_menu import MenuContext, TreeContextMenu
from studio.ui.pages.adapters.tree_panel import TreePanel
from studio.ui.pages.base import Page
from studio.ui.pages.registry import PageSpec, register
from studio.ui.services.drag_payload import DragPayload, LiftedAttachment, from_mime, to_mime
from studio.ui.services.engine import RecipeCounts
from studio.ui.services.tree_data import NodeRef
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.components import VBox, button


class AdaptersPage(Page):
    """The second step; a badge that is dropped beside the tree is removed."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            workspace,
            tr("Backbone and adapters"),
            tr("Attach adapters to layers of a frozen, pretrained network. Only adapters and head are trained."),
            tr("Train"),
        )
        self._shown_layers: tuple[Layer, ...] = ()
        self._shown_backbone: Backbone | None = None
        self._cut_attachment: LiftedAttachment | None = None
        self.dialog: BackboneDialog | None = None
        self.setAcceptDrops(True)
        self.palette_panel = PalettePanel(workspace)
        self.tree_panel = TreePanel(workspace)
        self.inspector = Inspector(workspace)
        self.compare_bar = CompareBar(workspace)
        self._tree, self._tree_model = self.tree_panel.tree, self.tree_panel.model
        self._build()
        self._connect()
        self._add_keys()
        self._show_recipe(workspace.recipe)

    # building

    def _build(self) -> None:
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        for widget, min_width in ((self.palette_panel, 216), (self.tree_panel, 420), (self.inspector, 270)):
            self.splitter.addWidget(widget)
            widget.setMinimumWidth(min_width)
        self.splitter.setSizes([250, 760, 300])
        for column, stretch in enumerate((0, 1, 0)):
            self.splitter.setStretchFactor(column, stretch)
        self.compare_button = button(tr("Compare with…"), self._show_compare_menu)
        self.header.addWidget(self.compare_button)
        self.set_content(VBox(self.compare_bar, (self.splitter, 1), gap=10))
        self._order_tabs()

    def _order_tabs(self) -> None:
        """Order the Tab key from left to right and from top to bottom."""
        palette, bar = self.palette_panel, self.tree_panel.bulk_attach_bar
        kinds = (palette.kind_switch.button_at(0), palette.kind_switch.button_at(1))
        left = (palette.choose_button, *kinds, palette.filter_edit, palette.list_view, palette.attach_button)
        bulk = (bar.method_box, bar.pattern_edit, bar.first_block, bar.last_block, bar.attach_button)
        middle = (self.tree_panel.filter_edit, *self.tree_panel.buttons, *bulk, self._tree)
        for before, after in pairwise((*left, *middle)):
            QWidget.setTabOrder(before, after)

    def _connect(self) -> None:
        engine, workspace = self.workspace.engine, self.workspace
        engine.loaded.connect(self._show_methods)
        engine.load_failed.connect(self._show_load_error)
        engine.counted.connect(self._show_counts)
        workspace.grad_norms_changed.connect(self._tree_model.show_grad_norms)
        workspace.document.changed.connect(self._show_recipe)
        self.compare_bar.differences_changed.connect(self._tree_model.show_pairs)
        self.palette_panel.backbone_requested.connect(self.choose_backbone)
        self.palette_panel.attach_requested.connect(self.attach_selected)
        methods = self.palette_panel.list_view
        methods.drag_changed.connect(self.tree_panel.show_drag)
        methods.method_activated.connect(self._attach)
        methods.selectionModel().currentChanged.connect(lambda *_: self._method_selected())
        self._tree.attach_requested.connect(self.attach_selected)
        self._tree.detach_requested.connect(self.detach_selected)
        self._tree.edit_requested.connect(self.inspector.edit)
        self._tree.selectionModel().selectionChanged.connect(lambda *_: self._selection_changed())
        self._tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self._tree.customContextMenuRequested.connect(self._open_menu)

    def _add_keys(self) -> None:
        page, tree = Qt.ShortcutContext.WidgetWithChildrenShortcut, Qt.ShortcutContext.WidgetShortcut
        for keys, owner, context, call in (
            ("Ctrl+Return", self, page, self.attach_selected),
            ("Ctrl+Shift+Return", self, page, lambda: self.attach_selected(same_kind=True)),
            ("Ctrl+C", self._tree, tree, self.copy),
            ("Ctrl+X", self._tree, tree, self.cut),
            ("Ctrl+V", self._tree, tree, self.paste),
        ):
            shortcut = QShortcut(QKeySequence(keys), owner)
            shortcut.setContext(context)
            shortcut.activated.connect(call)

    # showing

    def refresh(self) -> None:
        """Show the methods and layers that the engine has."""
        if self.workspace.engine.ready:
            self._show_methods()
        if self.workspace.engine.last_counts is not None:
            self._show_counts(self.workspace.engine.last_counts)

    def view_state(self) -> dict[str, Any]:
        """Return the sizes of the columns and the states of the panels."""
        return {
            "splitter": self.splitter.sizes(),
            "palette": self.palette_panel.view_state(),
            "tree": self.tree_panel.view_state(),
            "inspector": self.inspector.view_state(),
            "compare": self.compare_bar.view_state(),
        }

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Restore the values of :meth:`view_state`.

        The selection in the tree precedes that in the inspector.
        """
        if "splitter" in state:
            self.splitter.setSizes(state["splitter"])
        self.compare_bar.restore_view_state(state.get("compare", {}))
        self.palette_panel.restore_view_state(state.get("palette", {}))
        self.tree_panel.restore_view_state(state.get("tree", {}))
        self.inspector.restore_view_state(state.get("inspector", {}))

    def _method_selected(self) -> None:
        name = self.palette_panel.list_view.selected_name
        self.workspace.chosen_method = name
        self.tree_panel.bulk_attach_bar.select_method(name)

    def _show_load_error(self, error: str) -> None:
        self.banner.show_message(error, "bad")

    def _show_methods(self) -> None:
        rows = self.workspace.engine.method_rows()
        self.palette_panel.show_methods(rows)
        self.tree_panel.bulk_attach_bar.show_methods(rows)

    def _show_recipe(self, recipe: Recipe) -> None:
        layers = self._shown_layers if self._shown_backbone == recipe.backbone else ()
        self.palette_panel.show_backbone(recipe.backbone, layers)
        if layers:
            self.tree_panel.show_annotations(recipe)

    def _show_counts(self, counts: RecipeCounts) -> None:
        if counts.recipe.backbone != self.workspace.recipe.backbone:
            return
        self.banner.show_message(counts.problem, "bad")
        if counts.layers and counts.layers is not self._shown_layers:
            self._shown_layers, self._shown_backbone = counts.layers, counts.recipe.backbone
            self.tree_panel.show_tree(counts.layers, counts.tree_data)
            self.palette_panel.refresh_unsupported()
            self.palette_panel.show_backbone(counts.recipe.backbone, counts.layers)
        if not counts.layers:
            self._shown_layers = ()
            self.tree_panel.show_no_tree(counts.problem)
        self.tree_panel.show_annotations(counts.recipe)
        self.compare_bar.show_differences()
        self.inspector.show_counts(counts)

    def _show_compare_menu(self) -> None:
        below = self.compare_button.mapToGlobal(QPoint(0, self.compare_button.height() + 2))
        self.compare_bar.build_menu(self).popup(below)

    # attaching

    def attach_selected(self, same_kind: bool = False) -> None:
        """Attach the selected method to the selected rows, or to the whole backbone.

        With ``same_kind`` to all layers of the rows' kinds.
        """
        self._attach(self.palette_panel.payload, same_kind)

    def _attach(self, payload: DragPayload, same_kind: bool = False) -> None:
        refs = self._tree.selected_refs()
        if same_kind:
            refs = self.workspace.attachment_editor.same_kind(refs) or refs
        if payload and self.workspace.attach(payload, refs):
            self.tree_panel.show_idle_hint()

    def detach_selected(self) -> None:
        """Remove the attachments at the selected rows and inside them."""
        has_selection = self._tree.selectionModel().hasSelection()
        places = self.workspace.attachment_editor.attached_within(self._tree.selected_refs()) if has_selection else ()
        if places:
            self.workspace.detach_at(places)
        else:
            self._show_nothing_attached()

    def copy(self, name: str = "") -> None:
        """Copy the attachment ``name``, by default the first one at the current row."""
        node = self._tree_model.node(self._tree.currentIndex())
        names = [name] if name else [badge.attachment for badge in (self._tree_model.badges(node) if node else ())]
        lifted = self.workspace.attachment_editor.lift(names[0], node.ref if node else NodeRef()) if names else None
        self._cut_attachment = None
        if lifted is None:
            self._show_nothing_attached()
            return
        QGuiApplication.clipboard().setMimeData(to_mime(lifted))
        text = tr("Copied {name}. Select rows and paste it.", name=lifted.attachment.name)
        self.tree_panel.show_hint(text, "copy", "muted")

    def _show_nothing_attached(self) -> None:
        self.tree_panel.show_hint(tr("No attachments at the selected rows."), "info", "muted")

    def cut(self) -> None:
        """Copy the first attachment at the current row; pasting removes it there."""
        self.copy()
        self._cut_attachment = self._clipboard_attachment()

    def paste(self) -> None:
        """Attach the copied or cut attachment to the selected rows."""
        lifted = self._clipboard_attachment()
        if lifted is None:
            text = tr("Nothing to paste. Copy an attachment of the tree first.")
            self.tree_panel.show_hint(text, "info", "muted")
        elif lifted == self._cut_attachment:
            self._cut_attachment = None
            self.workspace.move(lifted, self._tree.selected_refs())
        else:
            self.workspace.attach(lifted, self._tree.selected_refs())

    def _clipboard_attachment(self) -> LiftedAttachment | None:
        data = QGuiApplication.clipboard().mimeData()
        payload = from_mime(data) if data is not None else ""
        return payload if isinstance(payload, LiftedAttachment) else None

    def choose_backbone(self) -> None:
        """Open the dialog to choose another backbone."""
        if self.dialog is None:
            self.dialog = BackboneDialog(self.workspace, self)
            self.dialog.chosen.connect(lambda backbone: self.workspace.set_value("backbone", backbone.model_dump()))
        self.dialog.open()

    def _open_menu(self, position: QPoint) -> None:
        self.menu_at(position).popup(self._tree.viewport().mapToGlobal(position))

    def menu_at(self, position: QPoint) -> QMenu:
        """Return the context menu for a position in the tree's viewport."""
        node = self._tree_model.node(self._tree.indexAt(position))
        badges = self._tree_model.badges(node) if node else ()
        context = MenuContext(
            self._tree.refs_at(position),
            self.palette_panel.list_view.selected_row,
            self.palette_panel.methods,
            self.palette_panel.presets,
            badges,
            self._clipboard_attachment(),
        )
        return TreeContextMenu(self, self.workspace, context, self.inspector.edit, self.copy)

    # a badge that is dropped beside the tree

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: accept badges."""
        if isinstance(from_mime(event.mimeData()), LiftedAttachment):
            event.accept()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Qt: show that a drop here removes the attachment."""
        payload = from_mime(event.mimeData())
        if isinstance(payload, LiftedAttachment):
            self.tree_panel.show_detach_hint(payload)
            event.setDropAction(Qt.DropAction.MoveAction)
            event.accept()

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: remove the attachment at the place that it was dragged from."""
        payload = from_mime(event.mimeData())
        if isinstance(payload, LiftedAttachment):
            event.setDropAction(Qt.DropAction.MoveAction)
            event.accept()
            self.workspace.detach_at(((payload.attachment.name, payload.ref),))

    # selection

    def _selection_changed(self) -> None:
        refs = self._tree.selected_refs() if self._tree.selectionModel().hasSelection() else ()
        nodes = [self._tree_model.node(self._tree_model.index_of(ref)) for ref in refs]
        self._show_attachments([b.attachment for node in nodes if node for b in self._tree_model.badges(node)])

    def _show_attachments(self, names: Sequence[str]) -> None:
        """Show the settings of the attachments at the selected rows together."""
        if names:
            self.inspector.select(*dict.fromkeys(names))


def _is_done(workspace: Workspace) -> bool:
    counts = workspace.engine.last_counts
    return bool(workspace.recipe.attachments) and counts is not None and not counts.problems


PAGE = register(
    PageSpec("adapters", N_("Backbone and adapters"), "layers", AdaptersPage, "Ctrl+2", step=2, is_done=_is_done)
)
