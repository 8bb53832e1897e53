"""Backbone and adapters: the palette, the layer tree to drop on, the inspector."""

from functools import partial
from itertools import pairwise

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QLineEdit, QMenu, QSplitter, QStackedWidget, QWidget

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.recipe import Backbone, Recipe
from studio.ui.engine import Counted
from studio.ui.figures import count, plural
from studio.ui.language import tr
from studio.ui.models.layer_nodes import Spot
from studio.ui.models.layer_tree import LayerTree
from studio.ui.models.palette import MethodRow, Palette
from studio.ui.panels.backbone_dialog import BackboneDialog
from studio.ui.panels.inspector import Inspector
from studio.ui.panels.page import Page
from studio.ui.widgets.palette_view import PaletteView
from studio.ui.widgets.parts import Card, Column, Empty, IconButton, Picture, Row, button, text
from studio.ui.widgets.tree_view import TreeView
from studio.ui.workspace import Workspace, marks

_IDLE = "Drag a method onto a layer, a block or the backbone. Or select rows and press Enter."


class AdaptersPage(Page):
    """The second step."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            workspace,
            tr("Backbone and adapters"),
            tr("Attach adapters to layers of a frozen, pretrained network. Only adapters and head are trained."),
            tr("Train"),
        )
        self._shown_layers: tuple[Layer, ...] = ()
        self._shown_backbone: Backbone | None = None
        self.dialog: BackboneDialog | None = None
        self.palette_model = Palette(self)
        self.tree_model = LayerTree(workspace.refusal, workspace.attach, self)
        self.method_list = PaletteView()
        self.method_list.setModel(self.palette_model)
        self.tree = TreeView()
        self.tree.setModel(self.tree_model)
        self.tree.show_columns()
        self.inspector = Inspector(workspace)
        self._build()
        self._connect()
        self._show_recipe(workspace.recipe)
        self._hint_idle()

    # building

    def _build(self) -> None:
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setHandleWidth(14)
        splitter.setChildrenCollapsible(False)
        for widget, least in ((self._left(), 216), (self._centre(), 420), (self.inspector, 270)):
            splitter.addWidget(widget)
            widget.setMinimumWidth(least)
        splitter.setSizes([250, 760, 300])
        for column, stretch in enumerate((0, 1, 0)):
            splitter.setStretchFactor(column, stretch)
        self.fill(splitter)
        self._order_tabs()

    def _order_tabs(self) -> None:
        """Let the Tab key go as the eye does, from left to right and from top to bottom."""
        left = (self.choose, self.palette_filter, self.method_list, self.attach_button)
        for before, after in pairwise((*left, self.filter, *self.tree_buttons, self.tree)):
            QWidget.setTabOrder(before, after)

    def _left(self) -> QWidget:
        self.backbone_name = text("", "heading", wrap=True)
        self.backbone_note = text("", "caption", wrap=True)
        self.choose = button(tr("Choose another…"), self.choose_backbone, "search")
        backbone = Card(tr("Backbone"), self.backbone_name, self.backbone_note, 2, self.choose, gap=4)
        backbone.heading.setProperty("role", "caption")
        self.attach_button = button(tr("Attach to selection"), self.attach_selected, "plus")
        self.attach_button.setToolTip(tr("Attach the chosen method to the selected rows (Enter in the tree)"))
        self.loading = Empty(
            "refresh", tr("Loading the engine"), tr("PyTorch takes a few seconds to start."), width=180
        )
        self.palette_stack = QStackedWidget()
        self.palette_stack.addWidget(self.loading)
        self.palette_stack.addWidget(self.method_list)
        self.palette_filter = QLineEdit()
        self.palette_filter.setPlaceholderText(tr("Find a method"))
        self.palette_filter.setClearButtonEnabled(True)
        self.palette_filter.setAccessibleName(tr("Find a method"))
        self.palette_filter.textChanged.connect(self._palette_filtered)
        methods = Card(
            tr("Methods"), self.palette_filter, (self.palette_stack, 1), self.attach_button, gap=8, padding=12
        )
        left = QWidget()
        left.setLayout(Column(backbone, (methods, 1), gap=14))
        return left

    def _centre(self) -> QWidget:
        self.filter = QLineEdit()
        self.filter.setPlaceholderText(tr("Filter layers, such as qkv or norm"))
        self.filter.setClearButtonEnabled(True)
        self.filter.setAccessibleName(tr("Filter layers"))
        self.count = text("", "caption")
        self.with_empty = IconButton(tr("Show layers without parameters too"), "eye")
        self.with_empty.setCheckable(True)
        self.with_empty.toggled.connect(lambda on: self._filter_changed(self.filter.text()))
        self.tree_buttons = (
            self.with_empty,
            IconButton(tr("Open the first two levels"), "layers", lambda: self.tree.expandToDepth(1)),
            IconButton(tr("Close all"), "chevron-up", self._collapse),
        )
        bar = Row((self.filter, 1), self.count, *self.tree_buttons, gap=6)
        self.hint_icon = Picture("info", "muted", 16)
        self.hint = text(tr(_IDLE), "muted", wrap=True)
        self.hint.setMinimumHeight(34)
        self.tree_empty = Empty(
            "layers", tr("The layer tree comes in a moment"), tr("It is built without loading any weights.")
        )
        self.tree_stack = QStackedWidget()
        self.tree_stack.addWidget(self.tree_empty)
        self.tree_stack.addWidget(self.tree)
        return Card("", bar, (self.tree_stack, 1), Row(self.hint_icon, (self.hint, 1)), padding=12)

    def _connect(self) -> None:
        engine, workspace = self.workspace.engine, self.workspace
        engine.loaded.connect(self._show_methods)
        engine.load_failed.connect(lambda words: self.notice.say(words, "bad"))
        engine.counted.connect(self._show_counted)
        workspace.document.changed.connect(self._show_recipe)
        workspace.refused.connect(self._hint_refusal)
        self.method_list.drag_changed.connect(self._drag)
        self.method_list.method_activated.connect(self._attach)
        self.tree.drag_changed.connect(self._drag)
        self.tree.hovered.connect(self._hover)
        self.tree_model.painted_anew.connect(self.tree.viewport().update)
        self.tree.attach_wanted.connect(self.attach_selected)
        self.tree.detach_wanted.connect(self.detach_selected)
        self.tree.selectionModel().selectionChanged.connect(lambda *_: self._selected())
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.customContextMenuRequested.connect(self._menu)
        self.filter.textChanged.connect(self._filter_changed)
        shortcut = QShortcut(QKeySequence("Ctrl+Return"), self)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(self.attach_selected)

    # showing

    def _show_methods(self) -> None:
        self.palette_model.show_methods(self.workspace.engine.method_rows())
        self.palette_stack.setCurrentWidget(self.method_list)
        self._palette_filtered("")

    def _palette_filtered(self, words: str) -> None:
        chosen = self.method_list.method
        self.palette_model.show_filter(words)
        row = max(0, self.palette_model.row_of(chosen))
        if self.palette_model.rowCount():
            self.method_list.setCurrentIndex(self.palette_model.index(row))

    def _show_recipe(self, recipe: Recipe) -> None:
        backbone = recipe.backbone
        self.backbone_name.setText(backbone.name)
        origin = {
            "bundled": tr("Comes with the program"),
            "timm": tr("From timm"),
            "local": tr("From your checkpoint"),
        }[backbone.source]
        note = origin if backbone.pretrained else tr("{origin}, random weights", origin=origin)
        layers = self._shown_layers if self._shown_backbone == backbone else ()
        self.backbone_note.setText(
            tr("{note}\n{parameters} parameters", note=note, parameters=count(layers[0].parameters)) if layers else note
        )
        if layers:
            self._show_marks(recipe)

    def _show_counted(self, counted: Counted) -> None:
        if counted.recipe.backbone != self.workspace.recipe.backbone:
            return
        self.notice.say(counted.problem, "bad")
        if counted.layers and counted.layers is not self._shown_layers:
            self._show_tree(counted)
        if not counted.layers:
            self._show_no_tree(counted.problem)
        self._show_marks(counted.recipe)
        self.inspector.show_counted(counted)

    def _show_marks(self, recipe: Recipe) -> None:
        engine = self.workspace.engine
        self.tree_model.show_marks(marks(recipe, engine.last, engine))

    def _show_tree(self, counted: Counted) -> None:
        same = [layer.path for layer in counted.layers] == [layer.path for layer in self._shown_layers]
        opened = self._opened() if same else set()
        self._shown_layers, self._shown_backbone = counted.layers, counted.recipe.backbone
        self.tree_model.show_layers(counted.layers)
        self.tree_stack.setCurrentWidget(self.tree)
        if same:
            self._open(opened)
        else:
            self._open_first_block()
        self.count.setText(plural(self.tree_model.layer_count, "layer"))
        self._show_recipe(counted.recipe)

    def _show_no_tree(self, problem: str) -> None:
        self._shown_layers = ()
        self.count.setText("")
        self.tree_model.show_layers(())
        self.tree_empty.heading.setText(tr("There is no layer tree"))
        self.tree_empty.sentence.setText(problem)
        self.tree_stack.setCurrentWidget(self.tree_empty)

    def _open_first_block(self) -> None:
        """Open the backbone and the first block with its attention, so that q, k and v are in view."""
        self.tree.collapseAll()
        self.tree.expand(self.tree_model.index_of(Spot()))
        layers = self.workspace.engine.layers
        first = next((layer for layer in layers if layer.role is Role.QKV), None)
        path = first.path if first else ""
        while path:
            self.tree.expand(self.tree_model.index_of(Spot(path)))
            path = path.rpartition(".")[0]

    def _opened(self) -> set[Spot]:
        return {
            Spot(layer.path)
            for layer in self.workspace.engine.layers
            if (index := self.tree_model.index_of(Spot(layer.path))).isValid() and self.tree.isExpanded(index)
        }

    def _open(self, spots: set[Spot]) -> None:
        for spot in spots:
            self.tree.expand(self.tree_model.index_of(spot))

    def _collapse(self) -> None:
        self.tree.collapseAll()
        self.tree.expand(self.tree_model.index_of(Spot()))

    def _filter_changed(self, words: str) -> None:
        opened = self._opened()
        self.tree_model.show_filter(words, self.with_empty.isChecked())
        if words.strip():
            self.tree.expandAll()
        elif opened:
            self._open(opened)
        else:
            self._open_first_block()

    # attaching

    def attach_selected(self) -> None:
        """Attach the chosen method to the selected rows, or to the whole backbone."""
        if method := self.method_list.method:
            self._attach(method)

    def _attach(self, method: str) -> None:
        before = self.workspace.recipe
        self.workspace.attach(method, self.tree.spots())
        if self.workspace.recipe != before:
            self._hint_idle()

    def detach_selected(self) -> None:
        """Remove the attachments whose badges are on the selected rows."""
        model = self.tree_model
        rows = [model.node(index) for index in self.tree.selectionModel().selectedRows()]
        names = {badge.attachment for node in rows if node for badge in model.badges(node)}
        if names:
            self.workspace.detach(names)
        else:
            self._hint(tr("Nothing is attached to the selected rows."), "info", "muted")

    def choose_backbone(self) -> None:
        """Let the user choose another backbone."""
        if self.dialog is None:
            self.dialog = BackboneDialog(self.workspace, self)
            self.dialog.chosen.connect(lambda backbone: self.workspace.set_value("backbone", backbone.model_dump()))
        self.dialog.open()

    def _menu(self, position: QPoint) -> None:
        self.menu_at(position).popup(self.tree.viewport().mapToGlobal(position))

    def menu_at(self, position: QPoint) -> QMenu:
        """The context menu for a place in the tree's viewport: methods to attach, attachments to remove."""
        index = self.tree.indexAt(position)
        spot = self.tree_model.spot(index)
        spots = self.tree.spots() if spot in self.tree.spots() else (spot,)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        others = QMenu(tr("Attach another"), menu)
        others.setToolTipsVisible(True)
        for row in self.palette_model.methods:
            self._add_attach(menu if row.name == self.method_list.method else others, row, spots)
        menu.addMenu(others)
        node = self.tree_model.node(index)
        for badge in self.tree_model.badges(node) if node else ():
            menu.addSeparator()
            menu.addAction(
                tr("Edit {attachment}", attachment=badge.attachment), partial(self.inspector.select, badge.attachment)
            )
            menu.addAction(
                tr("Remove {attachment}", attachment=badge.attachment),
                partial(self.workspace.detach, {badge.attachment}),
            )
        return menu

    def _add_attach(self, menu: QMenu, row: MethodRow, spots: tuple[Spot, ...]) -> None:
        why = self.workspace.refusal(row.name, spots)
        action = menu.addAction(tr("Attach {label}", label=row.label), partial(self.workspace.attach, row.name, spots))
        action.setEnabled(not why)
        action.setToolTip(why or row.summary)

    # saying

    def _selected(self) -> None:
        spots = self.tree.spots()
        badges = self.tree_model.badges(node) if (node := self.tree_model.node(self.tree.currentIndex())) else ()
        if badges and len(spots) == 1:
            self.inspector.select(badges[0].attachment)

    def _drag(self, method: str) -> None:
        self.tree_model.show_drag(method)
        self.tree_model.show_targets(frozenset())
        if not method:
            QTimer.singleShot(0, self._hint_idle)

    def _hover(self, method: str, spot: Spot) -> None:
        self.tree_model.show_targets(frozenset())
        if not method:
            self._hint_idle()
            return
        try:
            proposal = self.workspace.proposal(method, (spot,))
        except StudioError as error:
            self._hint(tr(str(error)), "error", "bad")
            return
        self.tree_model.show_targets(self.workspace.targets(proposal))
        label = tr(self.workspace.engine.method(method).label)
        words = tr("{method} on {layers}", method=label, layers=", ".join(proposal.at))
        self._hint(words, "adapter", "adapter")
        self.workspace.preview(
            proposal,
            lambda added: self._hint(
                tr("{words}: +{added} parameters", words=words, added=count(added)), "adapter", "adapter"
            ),
        )

    def _hint_refusal(self, words: str) -> None:
        self._hint(words, "error", "bad")

    def _hint_idle(self) -> None:
        self._hint(_IDLE, "info", "muted")

    def _hint(self, words: str, icon: str, tint: str) -> None:
        self.hint_icon.show_icon(icon, tint)
        self.hint.setText(words)
