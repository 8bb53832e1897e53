"""The middle of the adapters page: filter, rule line, the layer tree with its minimap, and what a drop would do."""

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QLineEdit, QStackedWidget

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.recipe import Recipe
from studio.ui.i18n.language import tr
from studio.ui.pages.adapters.bulk_attach_bar import RuleLine
from studio.ui.pages.adapters.layer_tree_model import LayerTree
from studio.ui.pages.adapters.minimap import Minimap
from studio.ui.pages.adapters.tree_view import TreeView
from studio.ui.services.drag_payload import Carried, Lifted
from studio.ui.services.tree_data import Grown, Spot, grow
from studio.ui.services.workspace import Workspace, marks
from studio.ui.style.formatting import count, plural
from studio.ui.widgets.components import Card, Empty, IconButton, Picture, Row, text

_IDLE = "Drag a method onto a layer, a block or the backbone. Or select rows and press Enter."


class TreePanel(Card):
    """Shows the layers and takes drops."""

    def __init__(self, workspace: Workspace) -> None:
        self.model = LayerTree(workspace.attaching.refusal, workspace.attach)
        self.tree = TreeView()
        self.tree.setModel(self.model)
        self.tree.show_columns()
        self.tree.alike, self.tree.lift = workspace.attaching.alike, workspace.attaching.lifted
        self.rule = RuleLine(workspace)
        self._workspace = workspace
        self._layers: tuple[Layer, ...] = ()
        self._filtered, self._open_before = False, set[Spot]()
        self._hovering: tuple[Carried, tuple[Spot, ...]] = ("", ())
        self.filter = QLineEdit()
        self.filter.setPlaceholderText(tr("Filter layers, such as qkv or norm"))
        self.filter.setClearButtonEnabled(True)
        self.filter.setAccessibleName(tr("Filter layers"))
        self.count = text("", "caption")
        self.with_empty = IconButton(tr("Show layers without parameters too"), "eye")
        self.with_empty.setCheckable(True)
        self.buttons = (
            self.with_empty,
            IconButton(tr("Open the first two levels"), "layers", lambda: self.tree.expandToDepth(1)),
            IconButton(tr("Close all"), "chevron-up", self._collapse),
        )
        self.minimap = Minimap(self.tree)
        self.hint_icon = Picture("info", "muted", 16)
        self.hint = text(tr(_IDLE), "muted", wrap=True)
        self.hint.setMinimumHeight(34)
        self.empty = Empty(
            "layers", tr("The layer tree comes in a moment"), tr("It is built without loading any weights.")
        )
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.tree)
        bar = Row((self.filter, 1), self.count, *self.buttons, gap=6)
        trees = Row((self.stack, 1), self.minimap, gap=4)
        super().__init__("", bar, self.rule, (trees, 1), Row(self.hint_icon, (self.hint, 1)), padding=12)
        self._connect()

    def _connect(self) -> None:
        self.model.setParent(self)
        self.model.painted_anew.connect(self.tree.viewport().update)
        self.filter.textChanged.connect(self._filter_changed)
        self.with_empty.toggled.connect(lambda on: self._filter_changed(self.filter.text()))
        self.tree.drag_changed.connect(self.drag)
        self.tree.hovered.connect(self.hover)
        self.tree.pointed.connect(self._point)
        self.tree.expanded.connect(lambda index: self.minimap.update())
        self.tree.collapsed.connect(lambda index: self.minimap.update())
        self.tree.move_wanted.connect(self._workspace.attaching.move)
        self.tree.selectionModel().selectionChanged.connect(lambda *_: self._selected())
        self.minimap.wanted.connect(self.show_spot)
        self.rule.targets_changed.connect(self.model.show_targets)
        self._workspace.refused.connect(self.refuse)
        # what was refused is said no longer than until the next edit
        self._workspace.document.changed.connect(lambda recipe: self._selected())

    # the tree

    def show_tree(self, layers: tuple[Layer, ...], grown: Grown | None = None) -> None:
        """Show ``layers``, ``grown`` already or not; what was open stays open where the same layers come again."""
        same = [layer.path for layer in layers] == [layer.path for layer in self._layers]
        opened = self._opened() if same else set()
        self._layers = layers
        self.model.show_grown(grown or grow(layers))
        self.stack.setCurrentWidget(self.tree)
        self.minimap.show()
        if same:
            self._open(opened)
        else:
            self.tree.fit_columns()
            self._open_first_block()
            self.idle()
        self.count.setText(plural(self.model.layer_count, "layer"))
        self.rule.show_layers(layers)

    def show_no_tree(self, problem: str) -> None:
        """Say why there is no tree."""
        self._layers = ()
        self.count.setText("")
        self.model.show_layers(())
        self.rule.show_layers(())
        self.minimap.hide()
        self.empty.heading.setText(tr("There is no layer tree"))
        self.empty.sentence.setText(problem)
        self.stack.setCurrentWidget(self.empty)

    def show_marks(self, recipe: Recipe) -> None:
        """Show badges and counts of ``recipe``."""
        engine = self._workspace.engine
        self.model.show_marks(marks(recipe, engine.last, engine))

    def show_spot(self, spot: Spot) -> None:
        """Bring a place into view, opening what holds it."""
        self._open_up(spot.path.rpartition(".")[0])
        if (index := self.model.index_of(spot)).isValid():
            self.tree.scrollTo(index, TreeView.ScrollHint.PositionAtCenter)

    def _open_first_block(self) -> None:
        """Open the backbone and the first block, with its attention where q, k and v are in it."""
        self._collapse()
        first = next((layer for layer in self._layers if layer.role is Role.QKV), None)
        first = first or next((layer for layer in self._layers if layer.role is Role.BLOCK), None)
        self._open_up(first.path if first else "")

    def _open_up(self, path: str) -> None:
        """Open the row at ``path`` and all that hold it."""
        while path:
            self.tree.expand(self.model.index_of(Spot(path)))
            path = path.rpartition(".")[0]

    def _opened(self) -> set[Spot]:
        """The open rows; only rows under open ones are looked at."""
        found: set[Spot] = set()
        waiting = [self.model.index_of(Spot())] if self.model.rowCount() else []
        while waiting:
            index = waiting.pop()
            if self.tree.isExpanded(index):
                found.add(self.model.spot(index))
                waiting += [self.model.index(row, 0, index) for row in range(self.model.rowCount(index))]
        return found

    def _open(self, spots: set[Spot]) -> None:
        for spot in spots:
            self.tree.expand(self.model.index_of(spot))

    def _collapse(self) -> None:
        self.tree.collapseAll()
        self.tree.expand(self.model.index_of(Spot()))

    def _filter_changed(self, words: str) -> None:
        """Show what the filter lets through, all open; without a filter, what was open before there was one."""
        if not self._filtered:
            self._open_before = self._opened()
        self._filtered = bool(words.strip())
        chosen = self.tree.spots() if self.tree.selectionModel().hasSelection() else ()
        self.model.show_filter(words, self.with_empty.isChecked())
        layers = plural(self.model.layer_count, "layer")
        if self._filtered:
            self.tree.expandAll()
            layers = tr("{n} of {layers}", n=count(self.model.found_count), layers=layers)
        else:
            self._open(self._open_before)
        self.count.setText(layers)
        self._choose_again(chosen)
        if not self.model.found_count and self._layers:
            self.say(tr("No layer has “{words}” in its path or type.", words=words.strip()), "search", "muted")
        elif not chosen:
            self.idle()

    def _choose_again(self, spots: tuple[Spot, ...]) -> None:
        """Select what was selected before a filter, as far as it is there, and bring it into view."""
        there = [index for spot in spots if (index := self.model.index_of(spot)).isValid()]
        if not there:
            return
        if not self._filtered:
            for spot in spots:
                self._open_up(spot.path if spot.part else spot.path.rpartition(".")[0])
        self.tree.choose(there)

    # saying

    def drag(self, carried: Carried) -> None:
        """A drag of ``carried`` begins; an empty name ends it."""
        self.model.show_drag(carried)
        self.model.show_targets(frozenset())
        self._hovering = ("", ())
        if not carried:
            self.tree.show_note("")
            QTimer.singleShot(0, self.idle)

    def hover(self, carried: Carried, where: Spot | tuple[Spot, ...]) -> None:
        """Say what putting ``carried`` down there would do."""
        spots = (where,) if isinstance(where, Spot) else where
        if (carried, spots) == self._hovering:
            return
        self._hovering = (carried, spots)
        self.model.show_targets(frozenset())
        self.tree.show_note("")
        if not carried:
            self.idle()
            return
        attaching = self._workspace.attaching
        try:
            made = attaching.proposals(carried, spots)
        except StudioError as error:
            self.say(str(error), "error", "bad")
            return
        targets = attaching.targets(made)
        self.model.show_targets(targets)
        layers = ", ".join(dict.fromkeys(pattern for a in made for pattern in a.at))
        words = tr("{method} on {layers}", method=attaching.label(carried), layers=layers)
        self.say(words, "adapter", "adapter")
        self._workspace.preview(made, lambda added: self._show_added((carried, spots), words, added, len(targets)))

    def _show_added(self, asked: tuple[Carried, tuple[Spot, ...]], words: str, added: int, layers: int) -> None:
        if asked == self._hovering:
            self.say(tr("{words}: +{added} parameters", words=words, added=count(added)), "adapter", "adapter")
            self.tree.show_note(tr("+{added} in {layers}", added=count(added), layers=plural(layers, "layer")))

    def show_take_off(self, lifted: Lifted) -> None:
        """Say that letting go here takes ``lifted`` off."""
        self.model.show_targets(frozenset())
        self._hovering = ("", ())
        name, path = lifted.attachment.name, lifted.spot.path or tr("the backbone")
        self.say(tr("Let go to take {name} off {layer}.", name=name, layer=path), "trash", "bad")

    def _point(self, spot: Spot) -> None:
        self.model.show_kin(spot if spot.path else self.model.spot(self.tree.currentIndex()))

    def _selected(self) -> None:
        kin = self.model.show_kin(self.model.spot(self.tree.currentIndex()))
        if kin and len(self.tree.spots()) == 1:
            words = tr(
                "{n} layers of this kind are marked. Ctrl takes them all: when dropping, or with Shift and Enter.",
                n=kin,
            )
            self.say(words, "layers", "muted")
        else:
            self.idle()

    def refuse(self, words: str) -> None:
        """Say why something was refused."""
        self.say(words, "error", "bad")

    def idle(self) -> None:
        """Say how to begin."""
        self.say(_IDLE, "info", "muted")

    def say(self, words: str, icon: str, tint: str) -> None:
        """Say something under the tree."""
        self.hint_icon.show_icon(icon, tint)
        self.hint.setText(tr(words))
