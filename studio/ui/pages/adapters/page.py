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
from studio.ui.pages.adapters.tree_context_menu import Offer, TreeMenu
from studio.ui.pages.adapters.tree_panel import TreePanel
from studio.ui.pages.base import Page
from studio.ui.services.drag_payload import Carried, Lifted, carried_in, mime_of
from studio.ui.services.engine import Counted
from studio.ui.services.tree_data import Spot
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.components import Column, button


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
        self._cut: Lifted | None = None
        self.dialog: BackboneDialog | None = None
        self.setAcceptDrops(True)
        self.left = PalettePanel(workspace)
        self.panel = TreePanel(workspace)
        self.inspector = Inspector(workspace)
        self.comparing = CompareBar(workspace)
        self._name_parts()
        self._build()
        self._connect()
        self._add_keys()
        self._show_recipe(workspace.recipe)

    # building

    def _name_parts(self) -> None:
        """The parts that others ask for."""
        self.palette_model, self.method_list = self.left.model, self.left.list
        self.palette_stack, self.loading = self.left.stack, self.left.loading
        self.palette_filter, self.attach_button = self.left.filter, self.left.attach_button
        self.choose, self.backbone_name = self.left.choose, self.left.backbone_name
        self.tree_model, self.tree, self.filter = self.panel.model, self.panel.tree, self.panel.filter
        self.with_empty, self.hint, self.rule = self.panel.with_empty, self.panel.hint, self.panel.rule

    def _build(self) -> None:
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        for widget, least in ((self.left, 216), (self.panel, 420), (self.inspector, 270)):
            splitter.addWidget(widget)
            widget.setMinimumWidth(least)
        splitter.setSizes([250, 760, 300])
        for column, stretch in enumerate((0, 1, 0)):
            splitter.setStretchFactor(column, stretch)
        self.compare_button = button(tr("Compare with…"), self._show_compare_menu)
        self.head.addWidget(self.compare_button)
        self.fill(Column(self.comparing, (splitter, 1), gap=10))
        self._order_tabs()

    def _order_tabs(self) -> None:
        """Let the Tab key go as the eye does, from left to right and from top to bottom."""
        kinds = (self.left.kinds.button(0), self.left.kinds.button(1))
        first = (self.choose, *kinds, self.palette_filter, self.method_list, self.attach_button)
        rule = (self.rule.method, self.rule.pattern, self.rule.first, self.rule.last, self.rule.go)
        for before, after in pairwise((*first, self.filter, *self.panel.buttons, *rule, self.tree)):
            QWidget.setTabOrder(before, after)

    def _connect(self) -> None:
        engine, workspace = self.workspace.engine, self.workspace
        engine.loaded.connect(self._show_methods)
        engine.load_failed.connect(lambda words: self.notice.say(words, "bad"))
        engine.counted.connect(self._show_counted)
        workspace.pulled.connect(self.tree_model.show_pulls)
        workspace.document.changed.connect(self._show_recipe)
        self.comparing.differs.connect(self.tree_model.show_pairs)
        self.left.backbone_wanted.connect(self.choose_backbone)
        self.left.attach_wanted.connect(self.attach_selected)
        self.method_list.drag_changed.connect(self.panel.drag)
        self.method_list.method_activated.connect(self._attach)
        self.method_list.selectionModel().currentChanged.connect(lambda *_: self.rule.choose(self.method_list.method))
        self.tree.attach_wanted.connect(self.attach_selected)
        self.tree.detach_wanted.connect(self.detach_selected)
        self.tree.edit_wanted.connect(self.inspector.edit)
        self.tree.selectionModel().selectionChanged.connect(lambda *_: self._selected())
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.customContextMenuRequested.connect(self._menu)

    def _add_keys(self) -> None:
        page, tree = Qt.ShortcutContext.WidgetWithChildrenShortcut, Qt.ShortcutContext.WidgetShortcut
        for keys, owner, context, call in (
            ("Ctrl+Return", self, page, self.attach_selected),
            ("Ctrl+Shift+Return", self, page, lambda: self.attach_selected(alike=True)),
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
        self.left.show_methods(rows)
        self.rule.show_methods(rows)

    def _show_recipe(self, recipe: Recipe) -> None:
        layers = self._shown_layers if self._shown_backbone == recipe.backbone else ()
        self.left.show_backbone(recipe.backbone, layers)
        if layers:
            self.panel.show_marks(recipe)

    def _show_counted(self, counted: Counted) -> None:
        if counted.recipe.backbone != self.workspace.recipe.backbone:
            return
        self.notice.say(counted.problem, "bad")
        if counted.layers and counted.layers is not self._shown_layers:
            self._shown_layers, self._shown_backbone = counted.layers, counted.recipe.backbone
            self.panel.show_tree(counted.layers, counted.grown)
            self.left.show_places()
            self.left.show_backbone(counted.recipe.backbone, counted.layers)
        if not counted.layers:
            self._shown_layers = ()
            self.panel.show_no_tree(counted.problem)
        self.panel.show_marks(counted.recipe)
        self.comparing.show_differences()
        self.inspector.show_counted(counted)

    def _show_compare_menu(self) -> None:
        below = self.compare_button.mapToGlobal(QPoint(0, self.compare_button.height() + 2))
        self.comparing.menu(self).popup(below)

    def _drag(self, carried: Carried) -> None:
        self.panel.drag(carried)

    def _hover(self, carried: Carried, where: Spot | tuple[Spot, ...]) -> None:
        self.panel.hover(carried, where)

    # attaching

    def attach_selected(self, alike: bool = False) -> None:
        """Attach what is chosen in the palette to the selected rows, or to the whole backbone.

        With ``alike`` to all layers of the rows' kinds.
        """
        self._attach(self.left.carried, alike)

    def _attach(self, carried: Carried, alike: bool = False) -> None:
        spots = self.tree.spots()
        if alike:
            spots = self.workspace.attaching.alike(spots) or spots
        if carried and self.workspace.attach(carried, spots):
            self.panel.idle()

    def detach_selected(self) -> None:
        """Take off what is attached to the selected rows and inside them."""
        selected = self.tree.selectionModel().hasSelection()
        places = self.workspace.attaching.attached_in(self.tree.spots()) if selected else ()
        if places:
            self.workspace.attaching.take_off(places)
        else:
            self.panel.say("Nothing is attached to the selected rows.", "info", "muted")

    def copy(self, name: str = "") -> None:
        """Copy the attachment called ``name``, or the first one at the current row, to be pasted elsewhere."""
        node = self.tree_model.node(self.tree.currentIndex())
        names = [name] if name else [badge.attachment for badge in (self.tree_model.badges(node) if node else ())]
        lifted = self.workspace.attaching.lifted(names[0], node.spot if node else Spot()) if names else None
        self._cut = None
        if lifted is None:
            self.panel.say("Nothing is attached to the selected rows.", "info", "muted")
            return
        QGuiApplication.clipboard().setMimeData(mime_of(lifted))
        self.panel.say(tr("Copied {name}. Select rows and paste it.", name=lifted.attachment.name), "copy", "muted")

    def cut(self) -> None:
        """Copy, and take off where it was once it is pasted."""
        self.copy()
        self._cut = self._copied()

    def paste(self) -> None:
        """Put down what was copied or cut at the selected rows."""
        lifted = self._copied()
        if lifted is None:
            self.panel.say("Nothing was copied yet: copy an attachment of the tree first.", "info", "muted")
        elif lifted == self._cut:
            self._cut = None
            self.workspace.attaching.move(lifted, self.tree.spots())
        else:
            self.workspace.attach(lifted, self.tree.spots())

    def _copied(self) -> Lifted | None:
        data = QGuiApplication.clipboard().mimeData()
        carried = carried_in(data) if data is not None else ""
        return carried if isinstance(carried, Lifted) else None

    def choose_backbone(self) -> None:
        """Let the user choose another backbone."""
        if self.dialog is None:
            self.dialog = BackboneDialog(self.workspace, self)
            self.dialog.chosen.connect(lambda backbone: self.workspace.set_value("backbone", backbone.model_dump()))
        self.dialog.open()

    def _menu(self, position: QPoint) -> None:
        self.menu_at(position).popup(self.tree.viewport().mapToGlobal(position))

    def menu_at(self, position: QPoint) -> QMenu:
        """The context menu for a place in the tree's viewport: what to attach, copy, paste and take off."""
        node = self.tree_model.node(self.tree.indexAt(position))
        badges = self.tree_model.badges(node) if node else ()
        offer = Offer(
            self.tree.spots_at(position),
            self.method_list.chosen,
            self.left.methods,
            self.left.presets,
            badges,
            self._copied(),
        )
        return TreeMenu(self, self.workspace, offer, self.inspector.edit, self.copy)

    # a badge that is dropped beside the tree

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: take badges."""
        if isinstance(carried_in(event.mimeData()), Lifted):
            event.accept()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Qt: say what letting go here does."""
        carried = carried_in(event.mimeData())
        if isinstance(carried, Lifted):
            self.panel.show_take_off(carried)
            event.setDropAction(Qt.DropAction.MoveAction)
            event.accept()

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: take the attachment off where it was taken up."""
        carried = carried_in(event.mimeData())
        if isinstance(carried, Lifted):
            event.setDropAction(Qt.DropAction.MoveAction)
            event.accept()
            self.workspace.attaching.take_off(((carried.attachment.name, carried.spot),))

    # choosing

    def _selected(self) -> None:
        spots = self.tree.spots() if self.tree.selectionModel().hasSelection() else ()
        rows = [self.tree_model.node(self.tree_model.index_of(spot)) for spot in spots]
        self._show_attachments([b.attachment for node in rows if node for b in self.tree_model.badges(node)])

    def _show_attachments(self, names: Sequence[str]) -> None:
        """Show the settings of what is attached to the selected rows, for all of them together."""
        if names:
            self.inspector.select(*dict.fromkeys(names))
