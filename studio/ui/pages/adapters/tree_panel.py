"""The tree panel: filter, bulk attach bar, layer tree with minimap, and a hint."""

from collections.abc import Iterable, Mapping
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QLineEdit, QStackedWidget

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.recipe import Recipe
from studio.ui.i18n.language import localized, tr, tr_n
from studio.ui.pages.adapters.annotations import tree_annotations
from studio.ui.pages.adapters.bulk_attach_bar import BulkAttachBar
from studio.ui.pages.adapters.layer_tree_model import LayerTree
from studio.ui.pages.adapters.minimap import Minimap
from studio.ui.pages.adapters.tree_view import TreeView
from studio.ui.services.drag_payload import DragPayload, LiftedAttachment
from studio.ui.services.tree_data import NodeRef, TreeData, build_tree
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import format_count
from studio.ui.widgets.components import Card, EmptyState, HBox, Icon, IconButton, text_label
from studio.ui.widgets.scroll import restore_scroll


class TreePanel(Card):
    """Shows the layers and accepts drops."""

    def __init__(self, workspace: Workspace) -> None:
        self.model = LayerTree(workspace.attachment_editor.attach_error, workspace.attach)
        self.tree = TreeView()
        self.tree.setModel(self.model)
        self.tree.set_up_columns()
        self.tree.same_kind, self.tree.lift = workspace.attachment_editor.same_kind, workspace.attachment_editor.lift
        self.bulk_attach_bar = BulkAttachBar(workspace)
        self._workspace = workspace
        self._layers: tuple[Layer, ...] = ()
        self._is_filtered, self._expanded_before_filter = False, set[NodeRef]()
        self._drag_target: tuple[DragPayload, tuple[NodeRef, ...]] = ("", ())
        self.filter_edit = QLineEdit()
        self.filter_edit.setPlaceholderText(tr("Filter layers, such as qkv or norm"))
        self.filter_edit.setClearButtonEnabled(True)
        self.filter_edit.setAccessibleName(tr("Filter layers"))
        self.count_label = text_label("", "caption")
        self.show_empty_button = IconButton(tr("Show layers without parameters"), "eye")
        self.show_empty_button.setCheckable(True)
        self.buttons = (
            self.show_empty_button,
            IconButton(tr("Expand two levels"), "layers", lambda: self.tree.expandToDepth(1)),
            IconButton(tr("Collapse all"), "chevron-up", self._collapse),
        )
        self.minimap = Minimap(self.tree)
        self.hint_icon = Icon("info", "muted", 16)
        self.hint = text_label("", "muted", wrap=True)
        self.hint.setMinimumHeight(34)
        text = tr("The tree is built without loading any weights.")
        self.empty = EmptyState("layers", tr("Building the layer tree"), text)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.tree)
        bar = HBox((self.filter_edit, 1), self.count_label, *self.buttons, gap=6)
        trees = HBox((self.stack, 1), self.minimap, gap=4)
        super().__init__("", bar, self.bulk_attach_bar, (trees, 1), HBox(self.hint_icon, (self.hint, 1)), padding=12)
        self._connect()
        self.show_idle_hint()

    def _connect(self) -> None:
        self.model.setParent(self)
        self.model.repaint_needed.connect(self.tree.viewport().update)
        self.filter_edit.textChanged.connect(self._filter_changed)
        self.show_empty_button.toggled.connect(lambda on: self._filter_changed(self.filter_edit.text()))
        self.tree.drag_changed.connect(self.show_drag)
        self.tree.drag_moved.connect(self.show_drop_preview)
        self.tree.row_hovered.connect(self._highlight_hovered)
        self.tree.expanded.connect(lambda index: self.minimap.update())
        self.tree.collapsed.connect(lambda index: self.minimap.update())
        self.tree.move_requested.connect(self._workspace.move)
        self.tree.selectionModel().selectionChanged.connect(lambda *_: self._selection_changed())
        self.minimap.node_pressed.connect(self.scroll_to_node)
        self.bulk_attach_bar.targets_changed.connect(self.model.show_targets)
        self._workspace.edit_rejected.connect(self.show_error)
        # an error is shown until the next edit
        self._workspace.document.changed.connect(self._recipe_changed)

    # the tree

    def show_tree(self, layers: tuple[Layer, ...], tree_data: TreeData | None = None) -> None:
        """Show ``layers``, with ``tree_data`` if it is built already.

        Rows of the same layers stay expanded.
        """
        same = [layer.path for layer in layers] == [layer.path for layer in self._layers]
        expanded = self._expanded_refs() if same else set()
        self._layers = layers
        self.model.show_tree_data(tree_data or build_tree(layers))
        self.stack.setCurrentWidget(self.tree)
        self.minimap.show()
        if same:
            self._expand_refs(expanded)
        else:
            self.tree.fit_columns()
            self._expand_first_block()
            self.show_idle_hint()
        self._show_count()
        self.bulk_attach_bar.show_layers(layers)

    def show_no_tree(self, problem: str) -> None:
        """Show why there is no tree."""
        self._layers = ()
        self.count_label.setText("")
        self.model.show_layers(())
        self.bulk_attach_bar.show_layers(())
        self.minimap.hide()
        self.empty.heading.setText(tr("No layer tree"))
        self.empty.description.setText(localized(problem))
        self.stack.setCurrentWidget(self.empty)

    def view_state(self) -> dict[str, Any]:
        """Return filter, expanded and selected rows, and scroll position of the tree."""
        return {
            "filter": self.filter_edit.text(),
            "show_empty": self.show_empty_button.isChecked(),
            "expanded": tuple(self._expanded_refs()),
            "selected": self._selection(),
            "scroll": self.tree.verticalScrollBar().value(),
            "bulk": self.bulk_attach_bar.view_state(),
        }

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Restore the values of :meth:`view_state`."""
        self.show_empty_button.setChecked(state.get("show_empty", False))
        self.filter_edit.setText(state.get("filter", ""))
        if "expanded" in state:
            self.tree.collapseAll()
            self._expand_refs(state["expanded"])
        self._restore_selection(state.get("selected", ()))
        self.bulk_attach_bar.restore_view_state(state.get("bulk", {}))
        restore_scroll(self.tree, state.get("scroll", 0))

    def show_annotations(self, recipe: Recipe) -> None:
        """Show badges and counts of ``recipe``."""
        engine = self._workspace.engine
        self.model.show_annotations(tree_annotations(recipe, engine.last_counts, engine))

    def scroll_to_node(self, ref: NodeRef) -> None:
        """Scroll to a place and expand the rows around it."""
        self._expand_path(ref.path.rpartition(".")[0])
        if (index := self.model.index_of(ref)).isValid():
            self.tree.scrollTo(index, TreeView.ScrollHint.PositionAtCenter)

    def _expand_first_block(self) -> None:
        """Expand the backbone and the first block, down to its qkv if there is one."""
        self._collapse()
        first = next((layer for layer in self._layers if layer.role is Role.QKV), None)
        first = first or next((layer for layer in self._layers if layer.role is Role.BLOCK), None)
        self._expand_path(first.path if first else "")

    def _expand_path(self, path: str) -> None:
        """Expand the row at ``path`` and its ancestors."""
        while path:
            self.tree.expand(self.model.index_of(NodeRef(path)))
            path = path.rpartition(".")[0]

    def _expanded_refs(self) -> set[NodeRef]:
        """Return the expanded rows below expanded rows."""
        expanded: set[NodeRef] = set()
        pending = [self.model.index_of(NodeRef())] if self.model.rowCount() else []
        while pending:
            index = pending.pop()
            if self.tree.isExpanded(index):
                expanded.add(self.model.ref(index))
                pending += [self.model.index(row, 0, index) for row in range(self.model.rowCount(index))]
        return expanded

    def _expand_refs(self, refs: Iterable[NodeRef]) -> None:
        for ref in refs:
            self.tree.expand(self.model.index_of(ref))

    def _collapse(self) -> None:
        self.tree.collapseAll()
        self.tree.expand(self.model.index_of(NodeRef()))

    def _filter_changed(self, query: str) -> None:
        """Show the matching rows, all expanded.

        Without a filter, expand the rows that were expanded before it.
        """
        if not self._is_filtered:
            self._expanded_before_filter = self._expanded_refs()
        self._is_filtered = bool(query.strip())
        selected = self._selection()
        self.model.show_filter(query, self.show_empty_button.isChecked())
        if self._is_filtered:
            self.tree.expandAll()
        else:
            self._expand_refs(self._expanded_before_filter)
        self._show_count()
        self._restore_selection(selected)
        if not self.model.match_count and self._layers:
            text = tr("No layer has “{text}” in its path or type.", text=query.strip())
            self.show_hint(text, "search", "muted")
        elif not selected:
            self.show_idle_hint()

    def _show_count(self) -> None:
        count = self.model.layer_count
        text = tr_n("{n:,} layer", "{n:,} layers", count)
        if self._is_filtered:
            shown = format_count(self.model.match_count)
            text = tr_n("{shown} of {n:,} layer", "{shown} of {n:,} layers", count, shown=shown)
        self.count_label.setText(text)

    def _selection(self) -> tuple[NodeRef, ...]:
        return self.tree.selected_refs() if self.tree.selectionModel().hasSelection() else ()

    def _restore_selection(self, refs: Iterable[NodeRef]) -> None:
        """Select the rows of ``refs`` that exist, and scroll to them."""
        indexes = [index for ref in refs if (index := self.model.index_of(ref)).isValid()]
        if not indexes:
            return
        if not self._is_filtered:
            for ref in refs:
                self._expand_path(ref.path if ref.part else ref.path.rpartition(".")[0])
        self.tree.select_rows(indexes)

    # hints

    def show_drag(self, payload: DragPayload) -> None:
        """Show the begin of a drag of ``payload``; an empty name ends it."""
        self.model.show_drag(payload)
        self.model.show_targets(frozenset())
        self._drag_target = ("", ())
        if not payload:
            self.tree.show_note("")
            QTimer.singleShot(0, self.show_idle_hint)

    def show_drop_preview(self, payload: DragPayload, target: NodeRef | tuple[NodeRef, ...]) -> None:
        """Show what a drop of ``payload`` at ``target`` would do."""
        refs = (target,) if isinstance(target, NodeRef) else target
        if (payload, refs) == self._drag_target:
            return
        self._drag_target = (payload, refs)
        self.model.show_targets(frozenset())
        self.tree.show_note("")
        if not payload:
            self.show_idle_hint()
            return
        editor = self._workspace.attachment_editor
        try:
            proposed = editor.proposed_attachments(payload, refs)
        except StudioError as error:
            self.show_error(error.message)
            return
        targets = editor.target_paths(proposed)
        self.model.show_targets(targets)
        patterns = ", ".join(dict.fromkeys(pattern for a in proposed for pattern in a.at))
        text = tr("{method} on {layers}", method=localized(editor.label(payload)), layers=patterns)
        self.show_hint(text, "adapter", "adapter")
        self._workspace.preview(proposed, lambda added: self._show_added((payload, refs), text, added, len(targets)))

    def _show_added(
        self, requested: tuple[DragPayload, tuple[NodeRef, ...]], text: str, added: int, layers: int
    ) -> None:
        if requested == self._drag_target:
            parameters = format_count(added)
            hint = tr("{attachment}: +{parameters} parameters", attachment=text, parameters=parameters)
            self.show_hint(hint, "adapter", "adapter")
            note = tr_n("+{parameters} in {n:,} layer", "+{parameters} in {n:,} layers", layers, parameters=parameters)
            self.tree.show_note(note)

    def show_detach_hint(self, lifted: LiftedAttachment) -> None:
        """Show that a drop here removes ``lifted``."""
        self.model.show_targets(frozenset())
        self._drag_target = ("", ())
        name, path = lifted.attachment.name, lifted.ref.path or tr("the backbone")
        self.show_hint(tr("Release to remove {name} from {layer}.", name=name, layer=path), "trash", "bad")

    def _highlight_hovered(self, ref: NodeRef) -> None:
        self.model.highlight_same_kind(ref if ref.path else self.model.ref(self.tree.currentIndex()))

    def _recipe_changed(self, recipe: Recipe) -> None:
        self._selection_changed()

    def _selection_changed(self) -> None:
        count = self.model.highlight_same_kind(self.model.ref(self.tree.currentIndex()))
        if count and len(self.tree.selected_refs()) == 1:
            text = tr("{n} layers of this kind are marked. Ctrl+drop or Ctrl+Shift+Enter attaches to all.", n=count)
            self.show_hint(text, "layers", "muted")
        else:
            self.show_idle_hint()

    def show_error(self, message: str) -> None:
        """Show why an edit is impossible."""
        self.show_hint(message, "error", "bad")

    def show_idle_hint(self) -> None:
        """Show how to attach a method."""
        text = tr("Drag a method onto a layer, a block or the backbone, or select rows and press Enter.")
        self.show_hint(text, "info", "muted")

    def show_hint(self, message: str, icon: str, color_name: str) -> None:
        """Show a message below the tree."""
        self.hint_icon.show_icon(icon, color_name)
        self.hint.setText(localized(message))
