"""The layer tree: plain layer rows as a Qt item model, on which methods are dropped."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QMimeData, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from studio.core.layers import Layer, wildcard_path
from studio.ui.i18n.language import tr
from studio.ui.services.drag_payload import MIMES, Carried, carried_in
from studio.ui.services.tree_data import (
    SLICE_LABELS,
    Badge,
    Grown,
    Marks,
    Node,
    RollUp,
    Spot,
    badge_text,
    grow,
    keep,
    roll_ups,
    type_and_shape,
)
from studio.ui.shared.grad_norms import Pulls
from studio.ui.shared.recipe_layers import Pair
from studio.ui.style.formatting import count

COLUMNS = ("Layer", "Type and shape", "Parameters", "Trainable", "Attachments")
NAME, TYPE, PARAMETERS, TRAINABLE, ATTACHMENTS = range(5)
NODE_ROLE = Qt.ItemDataRole.UserRole + 1
MARKS_ROLE = Qt.ItemDataRole.UserRole + 2
DIM_ROLE = Qt.ItemDataRole.UserRole + 3
TARGET_ROLE = Qt.ItemDataRole.UserRole + 4
PAIR_ROLE = Qt.ItemDataRole.UserRole + 5

_ROW_FLAGS = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsDropEnabled
_NOTHING = RollUp()
_MANY = 300
"""Where more rows than this change at once, views draw anew rather than hear of each."""

_Index = QModelIndex | QPersistentModelIndex


class LayerTree(QAbstractItemModel):
    """The tree. ``refusal(carried, spots)`` says why something cannot go there; ``attach(carried, spots)`` attaches it.

    ``painted_anew`` tells that rows look different while a drag goes on, though what they hold is the same.
    """

    painted_anew = Signal()

    def __init__(
        self,
        refusal: Callable[[Carried, tuple[Spot, ...]], str],
        attach: Callable[[Carried, tuple[Spot, ...]], object],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._refusal, self._attach = refusal, attach
        self._grown = Grown()
        self._marks = Marks()
        self._roll_ups: dict[int, RollUp] = {}
        self.found_count = 0
        self._filter = ""
        self._with_empty = False
        self._dragged: Carried = ""
        self._refusals: dict[Spot, str] = {}
        self._targets: frozenset[str] = frozenset()
        self._holders: set[str] = set()
        self._kin: frozenset[str] = frozenset()
        self._kin_holders: frozenset[str] = frozenset()
        self._pairs: Mapping[str, Pair] = {}
        self._differing: Counter[str] = Counter()
        self._kinds: dict[tuple[str, str], list[str]] = {}
        self.pulls = Pulls()

    # what is shown

    def show_layers(self, layers: Sequence[Layer]) -> None:
        """Replace the whole tree."""
        self.show_grown(grow(layers))

    def show_grown(self, grown: Grown) -> None:
        """Replace the whole tree by one that was grown already."""
        self.beginResetModel()
        self._grown = grown
        self._kin = self._kin_holders = frozenset()
        self._roll_ups = roll_ups(grown, self._marks)
        self._refusals.clear()
        self._kinds.clear()
        self._apply_filter()
        self.endResetModel()

    def show_marks(self, marks: Marks) -> None:
        """Replace badges and counts; the tree stays as it is."""
        if marks == self._marks:
            return
        before, self._marks = self._marks, marks
        self._roll_ups = roll_ups(self._grown, marks)
        if before.head_trains != marks.head_trains:
            self.painted_anew.emit()
        paths = before.badges.keys() | marks.badges.keys()
        self._tell({path for path in paths if before.badges.get(path) != marks.badges.get(path)})

    def show_filter(self, text: str, with_empty: bool = False) -> None:
        """Keep only rows whose path or type has ``text`` in it, with the rows that lead to them.

        Layers without parameters, such as dropout, are kept only ``with_empty``.
        """
        self.beginResetModel()
        self._filter, self._with_empty = text.strip().lower(), with_empty
        self._apply_filter()
        self.endResetModel()

    def show_drag(self, carried: Carried) -> None:
        """Dim the rows that cannot take ``carried`` while it is dragged; an empty name ends that."""
        if carried != self._dragged:
            self._dragged = carried
            self._refusals.clear()
            self.painted_anew.emit()

    def show_targets(self, paths: frozenset[str]) -> None:
        """Light up the layers that a drop would attach to."""
        if paths != self._targets:
            self._targets = paths
            self._holders = {holder for path in paths for holder in _holders(path)}
            self.painted_anew.emit()

    def show_kin(self, spot: Spot | None) -> int:
        """Mark the layers of the same kind as the one at ``spot``, itself among them; return how many they are."""
        kin = frozenset(self._alike(spot.path)) if spot and spot.path else frozenset()
        kin = kin if len(kin) > 1 else frozenset()
        if kin != self._kin:
            self._kin, self._kin_holders = kin, frozenset(holder for path in kin for holder in _holders(path))
            self.painted_anew.emit()
        return len(kin)

    def show_pulls(self, pulls: Pulls) -> None:
        """Show how strongly a training pulls at each attachment; empty pulls end that."""
        if pulls != self.pulls:
            self.pulls = pulls
            self.painted_anew.emit()

    def show_pairs(self, pairs: Mapping[str, Pair]) -> None:
        """Show beside this recipe's badges, by layer path, what another one has; none ends that."""
        self._pairs = pairs
        differing = [path for path, pair in pairs.items() if pair.differs]
        self._differing = Counter(holder for path in differing for holder in (*_holders(path), ""))
        self.painted_anew.emit()

    def differing(self, path: str) -> int:
        """How many layers inside the one at ``path`` differ from the other recipe's."""
        return self._differing[path]

    def _alike(self, path: str) -> list[str]:
        if not self._kinds:
            for node in self._nodes:
                if not node.part:
                    key = (node.layer.type, wildcard_path(node.layer.path))
                    self._kinds.setdefault(key, []).append(node.layer.path)
        number = self._at.get(Spot(path))
        return [] if number is None else self._kinds[self._nodes[number].layer.type, wildcard_path(path)]

    @property
    def layer_count(self) -> int:
        """Number of layers, slices not counted."""
        return len(self._grown.layers)

    def _apply_filter(self) -> None:
        self.found_count = keep(self._grown, self._filter, self._with_empty)

    def _target_mark(self, path: str) -> str:
        if path in self._targets:
            return "target"
        if path in self._holders:
            return "holder"
        return "kin" if path in self._kin else "kin holder" if path in self._kin_holders else ""

    def _tell(self, paths: set[str]) -> None:
        """Tell views that the layers at ``paths`` look different, and so does all that holds them."""
        numbers: set[int] = set()
        for path in paths:
            number = self._at.get(Spot(path), -1)
            numbers.update(self._nodes[number].children if number >= 0 else ())
            while number >= 0 and number not in numbers:
                numbers.add(number)
                number = self._nodes[number].parent
        if len(numbers) > _MANY:
            self.painted_anew.emit()
            numbers = {0}
        for number in numbers:
            index = self.index_of(self._nodes[number].spot)
            if index.isValid():
                self.dataChanged.emit(index, self.createIndex(index.row(), len(COLUMNS) - 1, number))

    def widest(self) -> tuple[list[tuple[int, str]], list[str], str]:
        """What columns must hold: names with their depths, types and shapes, and the largest number."""
        if not self._nodes:
            return [], [], ""
        names = [(depth, self._text(self._nodes[n], n, NAME)) for (depth, _), n in self._grown.names.items()]
        kinds = [type_and_shape(self._nodes[n]) for n in self._grown.kinds.values()]
        return names, kinds, self._text(self._nodes[0], 0, PARAMETERS)

    # where things are

    def node(self, index: _Index) -> Node | None:
        """The node of ``index``; None for an invalid one."""
        return self._nodes[index.internalId()] if index.isValid() else None

    def spot(self, index: _Index) -> Spot:
        """The place of ``index``; an invalid one stands for the backbone."""
        node = self.node(index)
        return node.spot if node else Spot()

    def index_of(self, spot: Spot, column: int = 0) -> QModelIndex:
        """The index of a place; invalid where there is none or a filter hides it."""
        number = self._at.get(spot)
        if number is None:
            return QModelIndex()
        node = self._nodes[number]
        shown = node.parent < 0 or (node.row < len(v := self._nodes[node.parent].visible) and v[node.row] == number)
        return self.createIndex(node.row, column, number) if shown else QModelIndex()

    def badges(self, node: Node) -> tuple[Badge, ...]:
        """The badges at a node; at a slice of a qkv, those that take the slice."""
        badges = self._marks.badges.get(node.layer.path, ())
        return tuple(b for b in badges if node.part in b.slices) if node.part else badges

    @property
    def layer_numbers(self) -> list[int]:
        """The numbers of the nodes that are layers, in the order of the tree."""
        return self._grown.layers

    def is_frozen(self, number: int) -> bool:
        """Whether the node with this number has weights of its own, frozen unless :meth:`strong` says more."""
        return self._nodes[number].layer.own_parameters > 0

    def strong(self) -> list[tuple[int, str]]:
        """The numbers of the nodes that stand out, each with the name of its colour; the strongest come last."""
        heads = [(number, "head") for number in self._grown.heads if self._marks.head_trains]
        working = [path for path, badges in self._marks.badges.items() if any(badge.enabled for badge in badges)]
        adapted = [(self._at.get(Spot(path), -1), "adapter") for path in (*working, *self._targets)]
        kin = [(self._at.get(Spot(path), -1), "accent") for path in self._kin]
        return [(number, tint) for number, tint in (*kin, *heads, *adapted) if number >= 0]

    def spot_number(self, number: int) -> Spot:
        """The place of the node with this number."""
        return self._nodes[number].spot

    def roll_up(self, number: int) -> RollUp:
        """Sums over a node and everything in it."""
        return self._roll_ups.get(number, _NOTHING)

    @property
    def _nodes(self) -> list[Node]:
        return self._grown.nodes

    @property
    def _at(self) -> dict[Spot, int]:
        return self._grown.at

    # Qt's side

    def index(self, row: int, column: int, parent: _Index = QModelIndex()) -> QModelIndex:  # noqa: B008
        """Qt: the index of a cell."""
        rows = self._visible(parent)
        if not (0 <= row < len(rows) and 0 <= column < len(COLUMNS)) or parent.column() > 0:
            return QModelIndex()
        return self.createIndex(row, column, rows[row])

    def parent(self, index: _Index = QModelIndex()) -> Any:  # type: ignore[override] # noqa: B008
        """Qt: the index of the row above; without an argument the owner."""
        node = self.node(index)
        if node is None or node.parent < 0:
            return QModelIndex()
        return self.createIndex(self._nodes[node.parent].row, 0, node.parent)

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of rows in ``parent``."""
        return 0 if parent.column() > 0 else len(self._visible(parent))

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Qt: number of columns."""
        return len(COLUMNS)

    def _visible(self, parent: _Index) -> list[int]:
        if parent.isValid():
            return self._nodes[parent.internalId()].visible
        return [0] if self._nodes else []

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        """Qt: the columns' names."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole and section in (PARAMETERS, TRAINABLE):
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return tr(COLUMNS[section]) if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: what a cell shows. The delegate asks for ``NODE_ROLE``, ``MARKS_ROLE`` and ``DIM_ROLE``."""
        node = self.node(index)
        if node is None:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(node, index.internalId(), index.column())
        if role == NODE_ROLE:
            return node
        if role == MARKS_ROLE:
            return self.badges(node)
        if role == TARGET_ROLE:
            return "" if node.part else self._target_mark(node.layer.path)
        if role == PAIR_ROLE:
            return None if node.part else self._pairs.get(node.layer.path)
        if role == DIM_ROLE:
            return bool(self._dragged) and bool(self.refusal_at(self._dragged, node.spot))
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tool_tip(node)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{tr(COLUMNS[index.column()])}: {self._text(node, index.internalId(), index.column())}"
        return None

    def _text(self, node: Node, number: int, column: int) -> str:
        if column == NAME:
            return f"{node.part} ({tr(SLICE_LABELS[node.part])})" if node.part else node.layer.name or tr("backbone")
        if column == TYPE:
            return type_and_shape(node)
        if column == PARAMETERS:
            number = node.layer.parameters // 3 if node.part else node.layer.parameters
            return count(number) if number else "–"
        if column == TRAINABLE:
            return self._trainable_text(node, number)
        return ", ".join(badge_text(b, node.part) for b in self.badges(node))

    def _trainable_text(self, node: Node, number: int) -> str:
        if node.part:
            return tr("adapter") if any(b.enabled for b in self.badges(node)) else tr("frozen")
        total = self.roll_up(number).trainable
        return count(total) if total else tr("frozen") if node.layer.parameters else "–"

    def _tool_tip(self, node: Node) -> str:
        if self._dragged and (why := self.refusal_at(self._dragged, node.spot)):
            return why
        lines = [node.layer.path or tr("the whole backbone"), f"{node.layer.type}, {tr(str(node.layer.role))}"]
        lines += [f"{b.attachment}: {badge_text(b)}" for b in self.badges(node)]
        lines += [words for b in self.badges(node) if (words := self.pulls.words(b.attachment, node.layer.path))]
        if not node.part and (pair := self._pairs.get(node.layer.path)):
            lines += [f"A: {', '.join(pair.left) or '–'}", f"B: {', '.join(pair.right) or '–'}"]
        return "\n".join([*lines, tr(node.layer.bypass_reason)] if node.layer.bypass_reason else lines)

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """Qt: every row can be selected and dropped on; whether a drop is taken is asked when it comes."""
        return _ROW_FLAGS if index.isValid() else Qt.ItemFlag.ItemIsDropEnabled

    # dropping

    def mimeTypes(self) -> list[str]:
        """Qt: what can be dropped."""
        return list(MIMES)

    def supportedDropActions(self) -> Qt.DropAction:
        """Qt: a drop copies, or moves what was attached elsewhere."""
        return Qt.DropAction.CopyAction | Qt.DropAction.MoveAction

    def canDropMimeData(self, data: QMimeData, action: Any, row: int, column: int, parent: _Index) -> bool:
        """Qt: whether what ``data`` carries can attach at ``parent``."""
        return self.takes(carried_in(data), (self.spot(parent),))

    def dropMimeData(self, data: QMimeData, action: Any, row: int, column: int, parent: _Index) -> bool:
        """Qt: attach what ``data`` carries at ``parent``."""
        return self.put(carried_in(data), (self.spot(parent),))

    def takes(self, carried: Carried, spots: tuple[Spot, ...]) -> bool:
        """Whether ``carried`` can be put down at ``spots``."""
        if not carried or not self._nodes:
            return False
        return not (self.refusal_at(carried, spots[0]) if len(spots) == 1 else self._refusal(carried, spots))

    def put(self, carried: Carried, spots: tuple[Spot, ...]) -> bool:
        """Attach ``carried`` at ``spots``; False where it is refused."""
        if not self.takes(carried, spots):
            return False
        self._attach(carried, spots)
        return True

    def refusal_at(self, carried: Carried, spot: Spot) -> str:
        """Why ``carried`` cannot attach at ``spot``; empty where it can. Remembered while one thing is dragged."""
        if carried != self._dragged:
            return self._refusal(carried, (spot,))
        if spot not in self._refusals:
            self._refusals[spot] = self._refusal(carried, (spot,))
        return self._refusals[spot]


def _holders(path: str) -> list[str]:
    """The paths of the layers that hold the one at ``path``, the backbone left out."""
    return [path.rsplit(".", cut)[0] for cut in range(1, path.count(".") + 1)]
