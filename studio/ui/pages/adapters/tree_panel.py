"""The middle of the adapters page: filter, rule line, the layer tree with its minimap, and what a drop would do."""

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QLineEdit, QStackedWidget

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.recipe import Recipe
from studio.ui.i18n.language import tr
from studio.ui.pages.adapters.annotations import tree_annotations
from studio.ui.pages.adapters.bulk_attach_bar import BulkAttachBar
from studio.ui.pages.adapters.layer_tree_model import LayerTree
from studio.ui.pages.adapters.minimap import Minimap
from studio.ui.pages.adapters.tree_view import TreeView
from studio.ui.services.drag_payload import DragPayload, LiftedAttachment
from studio.ui.services.tree_data import NodeRef, TreeData, build_tree
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import format_count, pluralize
from studio.ui.widgets.components import Card, EmptyState, HBox, Icon, IconButton, text_label

_IDLE_HINT = "Drag a method onto a layer, a block or the backbone. Or select rows and press Enter."


class TreePanel(Card):
    """Shows the layers and takes drops."""

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
        self.show_empty_button = IconButton(tr("Show layers without parameters too"), "eye")
        self.show_empty_button.setCheckable(True)
        self.buttons = (
            self.show_empty_button,
            IconButton(tr("Open the first two levels"), "layers", lambda: self.tree.expandToDepth(1)),
            IconButton(tr("Close all"), "chevron-up", self._collapse),
        )
        self.minimap = Minimap(self.tree)
        self.hint_icon = Icon("info", "muted", 16)
        self.hint = text_label(tr(_IDLE_HINT), "muted", wrap=True)
        self.hint.setMinimumHeight(34)
        self.empty = EmptyState(
            "layers", tr("The layer tree comes in a moment"), tr("It is built without loading any weights.")
        )
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.tree)
        bar = HBox((self.filter_edit, 1), self.count_label, *self.buttons, gap=6)
        trees = HBox((self.stack, 1), self.minimap, gap=4)
        super().__init__("", bar, self.bulk_attach_bar, (trees, 1), HBox(self.hint_icon, (self.hint, 1)), padding=12)
        self._connect()

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
        self._workspace.edit_rejected.connect(self.show_refusal)
        # what was refused is said no longer than until the next edit
        self._workspace.document.changed.connect(lambda recipe: self._selection_changed())

    # the tree

    def show_tree(self, layers: tuple[Layer, ...], tree_data: TreeData | None = None) -> None:
        """Show ``layers``, ``tree_data`` already or not; what was open stays open where the same layers come again."""
        same = [layer.path for layer in layers] == [layer.path for layer in self._layers]
        opened = self._expanded_refs() if same else set()
        self._layers = layers
        self.model.show_tree_data(tree_data or build_tree(layers))
        self.stack.setCurrentWidget(self.tree)
        self.minimap.show()
        if same:
            self._expand_refs(opened)
        else:
            self.tree.fit_columns()
            self._open_first_block()
            self.show_idle_hint()
        self.count_label.setText(pluralize(self.model.layer_count, "layer"))
        self.bulk_attach_bar.show_layers(layers)

    def show_no_tree(self, problem: str) -> None:
        """Say why there is no tree."""
        self._layers = ()
        self.count_label.setText("")
        self.model.show_layers(())
        self.bulk_attach_bar.show_layers(())
        self.minimap.hide()
        self.empty.heading.setText(tr("There is no layer tree"))
        self.empty.description.setText(problem)
        self.stack.setCurrentWidget(self.empty)

    def show_annotations(self, recipe: Recipe) -> None:
        """Show badges and counts of ``recipe``."""
        engine = self._workspace.engine
        self.model.show_annotations(tree_annotations(recipe, engine.last_counts, engine))

    def scroll_to_node(self, ref: NodeRef) -> None:
        """Bring a place into view, opening what holds it."""
        self._expand_path(ref.path.rpartition(".")[0])
        if (index := self.model.index_of(ref)).isValid():
            self.tree.scrollTo(index, TreeView.ScrollHint.PositionAtCenter)

    def _open_first_block(self) -> None:
        """Open the backbone and the first block, with its attention where q, k and v are in it."""
        self._collapse()
        first = next((layer for layer in self._layers if layer.role is Role.QKV), None)
        first = first or next((layer for layer in self._layers if layer.role is Role.BLOCK), None)
        self._expand_path(first.path if first else "")

    def _expand_path(self, path: str) -> None:
        """Open the row at ``path`` and all that hold it."""
        while path:
            self.tree.expand(self.model.index_of(NodeRef(path)))
            path = path.rpartition(".")[0]

    def _expanded_refs(self) -> set[NodeRef]:
        """The open rows; only rows under open ones are looked at."""
        found: set[NodeRef] = set()
        waiting = [self.model.index_of(NodeRef())] if self.model.rowCount() else []
        while waiting:
            index = waiting.pop()
            if self.tree.isExpanded(index):
                found.add(self.model.ref(index))
                waiting += [self.model.index(row, 0, index) for row in range(self.model.rowCount(index))]
        return found

    def _expand_refs(self, refs: set[NodeRef]) -> None:
        for spot in refs:
            self.tree.expand(self.model.index_of(spot))

    def _collapse(self) -> None:
        self.tree.collapseAll()
        self.tree.expand(self.model.index_of(NodeRef()))

    def _filter_changed(self, query: str) -> None:
        """Show what the filter lets through, all open; without a filter, what was open before there was one."""
        if not self._is_filtered:
            self._expanded_before_filter = self._expanded_refs()
        self._is_filtered = bool(query.strip())
        chosen = self.tree.selected_refs() if self.tree.selectionModel().hasSelection() else ()
        self.model.show_filter(query, self.show_empty_button.isChecked())
        layers = pluralize(self.model.layer_count, "layer")
        if self._is_filtered:
            self.tree.expandAll()
            layers = tr("{n} of {layers}", n=format_count(self.model.match_count), layers=layers)
        else:
            self._expand_refs(self._expanded_before_filter)
        self.count_label.setText(layers)
        self._restore_selection(chosen)
        if not self.model.match_count and self._layers:
            self.show_hint(tr("No layer has “{words}” in its path or type.", words=query.strip()), "search", "muted")
        elif not chosen:
            self.show_idle_hint()

    def _restore_selection(self, refs: tuple[NodeRef, ...]) -> None:
        """Select what was selected before a filter, as far as it is there, and bring it into view."""
        there = [index for spot in refs if (index := self.model.index_of(spot)).isValid()]
        if not there:
            return
        if not self._is_filtered:
            for spot in refs:
                self._expand_path(spot.path if spot.part else spot.path.rpartition(".")[0])
        self.tree.select_rows(there)

    # saying

    def show_drag(self, payload: DragPayload) -> None:
        """A drag of ``payload`` begins; an empty name ends it."""
        self.model.show_drag(payload)
        self.model.show_targets(frozenset())
        self._drag_target = ("", ())
        if not payload:
            self.tree.show_note("")
            QTimer.singleShot(0, self.show_idle_hint)

    def show_drop_preview(self, payload: DragPayload, target: NodeRef | tuple[NodeRef, ...]) -> None:
        """Say what putting ``payload`` down there would do."""
        spots = (target,) if isinstance(target, NodeRef) else target
        if (payload, spots) == self._drag_target:
            return
        self._drag_target = (payload, spots)
        self.model.show_targets(frozenset())
        self.tree.show_note("")
        if not payload:
            self.show_idle_hint()
            return
        attaching = self._workspace.attachment_editor
        try:
            made = attaching.proposed_attachments(payload, spots)
        except StudioError as error:
            self.show_hint(str(error), "error", "bad")
            return
        targets = attaching.target_paths(made)
        self.model.show_targets(targets)
        layers = ", ".join(dict.fromkeys(pattern for a in made for pattern in a.at))
        words = tr("{method} on {layers}", method=attaching.label(payload), layers=layers)
        self.show_hint(words, "adapter", "adapter")
        self._workspace.preview(made, lambda added: self._show_added((payload, spots), words, added, len(targets)))

    def _show_added(
        self, requested: tuple[DragPayload, tuple[NodeRef, ...]], message: str, added: int, layers: int
    ) -> None:
        if requested == self._drag_target:
            self.show_hint(
                tr("{words}: +{added} parameters", words=message, added=format_count(added)), "adapter", "adapter"
            )
            self.tree.show_note(
                tr("+{added} in {layers}", added=format_count(added), layers=pluralize(layers, "layer"))
            )

    def show_detach_hint(self, lifted: LiftedAttachment) -> None:
        """Say that letting go here takes ``lifted`` off."""
        self.model.show_targets(frozenset())
        self._drag_target = ("", ())
        name, path = lifted.attachment.name, lifted.ref.path or tr("the backbone")
        self.show_hint(tr("Let go to take {name} off {layer}.", name=name, layer=path), "trash", "bad")

    def _highlight_hovered(self, ref: NodeRef) -> None:
        self.model.highlight_same_kind(ref if ref.path else self.model.ref(self.tree.currentIndex()))

    def _selection_changed(self) -> None:
        kin = self.model.highlight_same_kind(self.model.ref(self.tree.currentIndex()))
        if kin and len(self.tree.selected_refs()) == 1:
            words = tr(
                "{n} layers of this kind are marked. Ctrl takes them all: when dropping, or with Shift and Enter.",
                n=kin,
            )
            self.show_hint(words, "layers", "muted")
        else:
            self.show_idle_hint()

    def show_refusal(self, message: str) -> None:
        """Say why something was refused."""
        self.show_hint(message, "error", "bad")

    def show_idle_hint(self) -> None:
        """Say how to begin."""
        self.show_hint(_IDLE_HINT, "info", "muted")

    def show_hint(self, message: str, icon: str, color_name: str) -> None:
        """Say something under the tree."""
        self.hint_icon.show_icon(icon, color_name)
        self.hint.setText(tr(message))
