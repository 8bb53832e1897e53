"""Backbone and adapters: the palette, the layer tree to drop on, the inspector."""

from collections.abc import Sequence
from itertools import pairwise

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
from studio.core.recipe import Backbone, Recipe
from studio.ui.i18n.language import tr
from studio.ui.pages.adapters.backbone_dialog import BackboneDialog
from studio.ui.pages.adapters.compare_bar import CompareBar
from studio.ui.pages.adapters.inspector import Inspector
from studio.ui.pages.adapters.palette_panel import PalettePanel
from studio.ui.pages.adapters.tree_context_menu import MenuContext, TreeContextMenu
from studio.ui.pages.adapters.tree_panel import TreePanel
from studio.ui.pages.base import Page
from studio.ui.services.drag_payload import DragPayload, LiftedAttachment, from_mime, to_mime
from studio.ui.services.engine import RecipeCounts
from studio.ui.services.tree_data import NodeRef
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.components import VBox, button


class AdaptersPage(Page):
    """The second step. A badge that is dropped beside the tree is taken off."""

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
        self._expose_parts()
        self._build()
        self._connect()
        self._add_keys()
        self._show_recipe(workspace.recipe)

    # building

    def _expose_parts(self) -> None:
        """The parts that others ask for."""
        self.palette_model, self.method_list = self.palette_panel.model, self.palette_panel.list_view
        self.palette_stack, self.loading = self.palette_panel.stack, self.palette_panel.loading
        self.palette_filter, self.attach_button = self.palette_panel.filter_edit, self.palette_panel.attach_button
        self.choose_button, self.backbone_name = self.palette_panel.choose_button, self.palette_panel.backbone_name
        self.tree_model, self.tree, self.filter_edit = (
            self.tree_panel.model,
            self.tree_panel.tree,
            self.tree_panel.filter_edit,
        )
        self.show_empty_button, self.hint, self.bulk_attach_bar = (
            self.tree_panel.show_empty_button,
            self.tree_panel.hint,
            self.tree_panel.bulk_attach_bar,
        )

    def _build(self) -> None:
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        for widget, least in ((self.palette_panel, 216), (self.tree_panel, 420), (self.inspector, 270)):
            splitter.addWidget(widget)
            widget.setMinimumWidth(least)
        splitter.setSizes([250, 760, 300])
        for column, stretch in enumerate((0, 1, 0)):
            splitter.setStretchFactor(column, stretch)
        self.compare_button = button(tr("Compare with…"), self._show_compare_menu)
        self.header.addWidget(self.compare_button)
        self.set_content(VBox(self.compare_bar, (splitter, 1), gap=10))
        self._order_tabs()

    def _order_tabs(self) -> None:
        """Let the Tab key go as the eye does, from left to right and from top to bottom."""
        kinds = (self.palette_panel.kind_switch.button_at(0), self.palette_panel.kind_switch.button_at(1))
        first = (self.choose_button, *kinds, self.palette_filter, self.method_list, self.attach_button)
        rule = (
            self.bulk_attach_bar.method_box,
            self.bulk_attach_bar.pattern_edit,
            self.bulk_attach_bar.first_block,
            self.bulk_attach_bar.last_block,
            self.bulk_attach_bar.attach_button,
        )
        for before, after in pairwise((*first, self.filter_edit, *self.tree_panel.buttons, *rule, self.tree)):
            QWidget.setTabOrder(before, after)

    def _connect(self) -> None:
        engine, workspace = self.workspace.engine, self.workspace
        engine.loaded.connect(self._show_methods)
        engine.load_failed.connect(lambda words: self.banner.show_message(words, "bad"))
        engine.counted.connect(self._show_counts)
        workspace.grad_norms_changed.connect(self.tree_model.show_grad_norms)
        workspace.document.changed.connect(self._show_recipe)
        self.compare_bar.differences_changed.connect(self.tree_model.show_pairs)
        self.palette_panel.backbone_requested.connect(self.choose_backbone)
        self.palette_panel.attach_requested.connect(self.attach_selected)
        self.method_list.drag_changed.connect(self.tree_panel.show_drag)
        self.method_list.method_activated.connect(self._attach)
        self.method_list.selectionModel().currentChanged.connect(
            lambda *_: self.bulk_attach_bar.select_method(self.method_list.selected_name)
        )
        self.tree.attach_requested.connect(self.attach_selected)
        self.tree.detach_requested.connect(self.detach_selected)
        self.tree.edit_requested.connect(self.inspector.edit)
        self.tree.selectionModel().selectionChanged.connect(lambda *_: self._selection_changed())
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.customContextMenuRequested.connect(self._open_menu)

    def _add_keys(self) -> None:
        page, tree = Qt.ShortcutContext.WidgetWithChildrenShortcut, Qt.ShortcutContext.WidgetShortcut
        for keys, owner, context, call in (
            ("Ctrl+Return", self, page, self.attach_selected),
            ("Ctrl+Shift+Return", self, page, lambda: self.attach_selected(same_kind=True)),
            ("Ctrl+C", self.tree, tree, self.copy),
            ("Ctrl+X", self.tree, tree, self.cut),
            ("Ctrl+V", self.tree, tree, self.paste),
        ):
            shortcut = QShortcut(QKeySequence(keys), owner)
            shortcut.setContext(context)
            shortcut.activated.connect(call)

    # showing

    def _show_methods(self) -> None:
        rows = self.workspace.engine.method_rows()
        self.palette_panel.show_methods(rows)
        self.bulk_attach_bar.show_methods(rows)

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

    def _drag(self, payload: DragPayload) -> None:
        self.tree_panel.show_drag(payload)

    def _hover(self, payload: DragPayload, target: NodeRef | tuple[NodeRef, ...]) -> None:
        self.tree_panel.show_drop_preview(payload, target)

    # attaching

    def attach_selected(self, same_kind: bool = False) -> None:
        """Attach what is chosen in the palette to the selected rows, or to the whole backbone.

        With ``same_kind`` to all layers of the rows' kinds.
        """
        self._attach(self.palette_panel.payload, same_kind)

    def _attach(self, payload: DragPayload, same_kind: bool = False) -> None:
        spots = self.tree.selected_refs()
        if same_kind:
            spots = self.workspace.attachment_editor.same_kind(spots) or spots
        if payload and self.workspace.attach(payload, spots):
            self.tree_panel.show_idle_hint()

    def detach_selected(self) -> None:
        """Take off what is attached to the selected rows and inside them."""
        selected = self.tree.selectionModel().hasSelection()
        places = self.workspace.attachment_editor.attached_within(self.tree.selected_refs()) if selected else ()
        if places:
            self.workspace.detach_at(places)
        else:
            self.tree_panel.show_hint("Nothing is attached to the selected rows.", "info", "muted")

    def copy(self, name: str = "") -> None:
        """Copy the attachment called ``name``, or the first one at the current row, to be pasted elsewhere."""
        node = self.tree_model.node(self.tree.currentIndex())
        names = [name] if name else [badge.attachment for badge in (self.tree_model.badges(node) if node else ())]
        lifted = self.workspace.attachment_editor.lift(names[0], node.ref if node else NodeRef()) if names else None
        self._cut_attachment = None
        if lifted is None:
            self.tree_panel.show_hint("Nothing is attached to the selected rows.", "info", "muted")
            return
        QGuiApplication.clipboard().setMimeData(to_mime(lifted))
        self.tree_panel.show_hint(
            tr("Copied {name}. Select rows and paste it.", name=lifted.attachment.name), "copy", "muted"
        )

    def cut(self) -> None:
        """Copy, and take off where it was once it is pasted."""
        self.copy()
        self._cut_attachment = self._clipboard_attachment()

    def paste(self) -> None:
        """Put down what was copied or cut at the selected rows."""
        lifted = self._clipboard_attachment()
        if lifted is None:
            self.tree_panel.show_hint("Nothing was copied yet: copy an attachment of the tree first.", "info", "muted")
        elif lifted == self._cut_attachment:
            self._cut_attachment = None
            self.workspace.move(lifted, self.tree.selected_refs())
        else:
            self.workspace.attach(lifted, self.tree.selected_refs())

    def _clipboard_attachment(self) -> LiftedAttachment | None:
        data = QGuiApplication.clipboard().mimeData()
        carried = from_mime(data) if data is not None else ""
        return carried if isinstance(carried, LiftedAttachment) else None

    def choose_backbone(self) -> None:
        """Let the user choose another backbone."""
        if self.dialog is None:
            self.dialog = BackboneDialog(self.workspace, self)
            self.dialog.chosen.connect(lambda backbone: self.workspace.set_value("backbone", backbone.model_dump()))
        self.dialog.open()

    def _open_menu(self, position: QPoint) -> None:
        self.menu_at(position).popup(self.tree.viewport().mapToGlobal(position))

    def menu_at(self, position: QPoint) -> QMenu:
        """The context menu for a place in the tree's viewport: what to attach, copy, paste and take off."""
        node = self.tree_model.node(self.tree.indexAt(position))
        badges = self.tree_model.badges(node) if node else ()
        offer = MenuContext(
            self.tree.refs_at(position),
            self.method_list.selected_row,
            self.palette_panel.methods,
            self.palette_panel.presets,
            badges,
            self._clipboard_attachment(),
        )
        return TreeContextMenu(self, self.workspace, offer, self.inspector.edit, self.copy)

    # a badge that is dropped beside the tree

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: take badges."""
        if isinstance(from_mime(event.mimeData()), LiftedAttachment):
            event.accept()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Qt: say what letting go here does."""
        carried = from_mime(event.mimeData())
        if isinstance(carried, LiftedAttachment):
            self.tree_panel.show_detach_hint(carried)
            event.setDropAction(Qt.DropAction.MoveAction)
            event.accept()

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: take the attachment off where it was taken up."""
        carried = from_mime(event.mimeData())
        if isinstance(carried, LiftedAttachment):
            event.setDropAction(Qt.DropAction.MoveAction)
            event.accept()
            self.workspace.detach_at(((carried.attachment.name, carried.ref),))

    # choosing

    def _selection_changed(self) -> None:
        spots = self.tree.selected_refs() if self.tree.selectionModel().hasSelection() else ()
        rows = [self.tree_model.node(self.tree_model.index_of(spot)) for spot in spots]
        self._show_attachments([b.attachment for node in rows if node for b in self.tree_model.badges(node)])

    def _show_attachments(self, names: Sequence[str]) -> None:
        """Show the settings of what is attached to the selected rows, for all of them together."""
        if names:
            self.inspector.select(*dict.fromkeys(names))
