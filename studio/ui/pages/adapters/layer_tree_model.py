"""The layer tree as a Qt item model of plain rows, on which methods are dropped."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QMimeData, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from studio.core.layers import Layer, wildcard_path
from studio.core.messages import N_
from studio.ui.i18n.language import localized, tr
from studio.ui.pages.adapters.annotations import SLICE_LABELS, badge_text, role_label, type_and_shape
from studio.ui.services.drag_payload import MIMES, DragPayload, from_mime
from studio.ui.services.tree_data import (
    Badge,
    Node,
    NodeRef,
    SubtreeSummary,
    TreeAnnotations,
    TreeData,
    build_tree,
    filter_tree,
    summarize,
)
from studio.ui.shared.grad_norms import GradNorms
from studio.ui.shared.recipe_layers import LayerPair
from studio.ui.style.formatting import format_count

COLUMNS = (N_("Layer"), N_("Type and shape"), N_("Parameters"), N_("Trainable"), N_("Attachments"))
NAME, TYPE, PARAMETERS, TRAINABLE, ATTACHMENTS = range(5)
NODE_ROLE = Qt.ItemDataRole.UserRole + 1
BADGES_ROLE = Qt.ItemDataRole.UserRole + 2
DIM_ROLE = Qt.ItemDataRole.UserRole + 3
TARGET_ROLE = Qt.ItemDataRole.UserRole + 4
PAIR_ROLE = Qt.ItemDataRole.UserRole + 5

_ROW_FLAGS = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsDropEnabled
_EMPTY_SUMMARY = SubtreeSummary()
_MANY_ROWS = 300
"""If more rows than this change at once, the views repaint instead of updating each."""

_Index = QModelIndex | QPersistentModelIndex


class LayerTree(QAbstractItemModel):
    """The tree; ``attach_error`` returns why a drop is impossible, ``attach`` does it.

    ``repaint_needed`` is emitted when rows look different although their data is the same, as during a drag.
    """

    repaint_needed = Signal()

    def __init__(
        self,
        attach_error: Callable[[DragPayload, tuple[NodeRef, ...]], str],
        attach: Callable[[DragPayload, tuple[NodeRef, ...]], object],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._attach_error, self._attach = attach_error, attach
        self._tree_data = TreeData()
        self._annotations = TreeAnnotations()
        self._summaries: dict[int, SubtreeSummary] = {}
        self.match_count = 0
        self._filter = ""
        self._show_empty = False
        self._dragged: DragPayload = ""
        self._attach_errors: dict[NodeRef, str] = {}
        self._targets: frozenset[str] = frozenset()
        self._target_ancestors: set[str] = set()
        self._same_kind: frozenset[str] = frozenset()
        self._same_kind_ancestors: frozenset[str] = frozenset()
        self._pairs: Mapping[str, LayerPair] = {}
        self._differing: Counter[str] = Counter()
        self._kinds: dict[tuple[str, str], list[str]] = {}
        self.grad_norms = GradNorms()

    # content

    def show_layers(self, layers: Sequence[Layer]) -> None:
        """Replace the whole tree."""
        self.show_tree_data(build_tree(layers))

    def show_tree_data(self, tree_data: TreeData) -> None:
        """Replace the whole tree by one that is built already."""
        self.beginResetModel()
        self._tree_data = tree_data
        self._same_kind = self._same_kind_ancestors = frozenset()
        self._summaries = summarize(tree_data, self._annotations)
        self._attach_errors.clear()
        self._kinds.clear()
        self._apply_filter()
        self.endResetModel()

    def show_annotations(self, annotations: TreeAnnotations) -> None:
        """Replace badges and counts; the tree stays."""
        if annotations == self._annotations:
            return
        before, self._annotations = self._annotations, annotations
        self._summaries = summarize(self._tree_data, annotations)
        if before.head_trainable != annotations.head_trainable:
            self.repaint_needed.emit()
        paths = before.badges.keys() | annotations.badges.keys()
        self._notify_changed({path for path in paths if before.badges.get(path) != annotations.badges.get(path)})

    def show_filter(self, text: str, show_empty: bool = False) -> None:
        """Keep rows with ``text`` in path or type, empty ones only with ``show_empty``."""
        self.beginResetModel()
        self._filter, self._show_empty = text.strip().lower(), show_empty
        self._apply_filter()
        self.endResetModel()

    def show_drag(self, payload: DragPayload) -> None:
        """Dim rows that do not support the dragged ``payload``; an empty name ends it."""
        if payload != self._dragged:
            self._dragged = payload
            self._attach_errors.clear()
            self.repaint_needed.emit()

    def show_targets(self, paths: frozenset[str]) -> None:
        """Highlight the layers that a drop would attach to."""
        if paths != self._targets:
            self._targets = paths
            self._target_ancestors = {ancestor for path in paths for ancestor in _ancestors(path)}
            self.repaint_needed.emit()

    def highlight_same_kind(self, ref: NodeRef | None) -> int:
        """Mark all layers of the same kind as that at ``ref``; return their number."""
        paths = frozenset(self._same_kind_paths(ref.path)) if ref and ref.path else frozenset()
        paths = paths if len(paths) > 1 else frozenset()
        if paths != self._same_kind:
            self._same_kind = paths
            self._same_kind_ancestors = frozenset(ancestor for path in paths for ancestor in _ancestors(path))
            self.repaint_needed.emit()
        return len(paths)

    def show_grad_norms(self, grad_norms: GradNorms) -> None:
        """Show the gradient norms of a training; empty ones end that."""
        if grad_norms != self.grad_norms:
            self.grad_norms = grad_norms
            self.repaint_needed.emit()

    def show_pairs(self, pairs: Mapping[str, LayerPair]) -> None:
        """Show the attachments of another recipe by layer path; no pairs end that."""
        self._pairs = pairs
        differing = [path for path, pair in pairs.items() if pair.differs]
        self._differing = Counter(ancestor for path in differing for ancestor in (*_ancestors(path), ""))
        self.repaint_needed.emit()

    def differing_count(self, path: str) -> int:
        """Return the number of layers inside ``path`` that differ from the other recipe."""
        return self._differing[path]

    def _same_kind_paths(self, path: str) -> list[str]:
        if not self._kinds:
            for node in self._nodes:
                if not node.part:
                    key = (node.layer.type, wildcard_path(node.layer.path))
                    self._kinds.setdefault(key, []).append(node.layer.path)
        number = self._number_of.get(NodeRef(path))
        return [] if number is None else self._kinds[self._nodes[number].layer.type, wildcard_path(path)]

    @property
    def layer_count(self) -> int:
        """Number of layers, without slices."""
        return len(self._tree_data.layers)

    def _apply_filter(self) -> None:
        self.match_count = filter_tree(self._tree_data, self._filter, self._show_empty)

    def _target_state(self, path: str) -> str:
        if path in self._targets:
            return "target"
        if path in self._target_ancestors:
            return "target ancestor"
        if path in self._same_kind:
            return "same kind"
        return "same kind ancestor" if path in self._same_kind_ancestors else ""

    def _notify_changed(self, paths: set[str]) -> None:
        """Emit that the layers at ``paths`` and their ancestors have changed."""
        numbers: set[int] = set()
        for path in paths:
            number = self._number_of.get(NodeRef(path), -1)
            numbers.update(self._nodes[number].children if number >= 0 else ())
            while number >= 0 and number not in numbers:
                numbers.add(number)
                number = self._nodes[number].parent
        if len(numbers) > _MANY_ROWS:
            self.repaint_needed.emit()
            numbers = {0}
        for number in numbers:
            index = self.index_of(self._nodes[number].ref)
            if index.isValid():
                self.dataChanged.emit(index, self.createIndex(index.row(), len(COLUMNS) - 1, number))

    def widest_texts(self) -> tuple[list[tuple[int, str]], list[str], str]:
        """Return the widest texts: (depth, name) pairs, types and shapes, a number."""
        if not self._nodes:
            return [], [], ""
        names = [(depth, self._text(self._nodes[n], n, NAME)) for (depth, _), n in self._tree_data.names.items()]
        types = [type_and_shape(self._nodes[n]) for n in self._tree_data.kinds.values()]
        return names, types, self._text(self._nodes[0], 0, PARAMETERS)

    # nodes, places and indexes

    def node(self, index: _Index) -> Node | None:
        """Return the node of ``index``; None for an invalid one."""
        return self._nodes[index.internalId()] if index.isValid() else None

    def ref(self, index: _Index) -> NodeRef:
        """Return the place of ``index``; the backbone for an invalid one."""
        node = self.node(index)
        return node.ref if node else NodeRef()

    def index_of(self, ref: NodeRef, column: int = 0) -> QModelIndex:
        """Return the index of a place; invalid if there is none or a filter hides it."""
        number = self._number_of.get(ref)
        if number is None:
            return QModelIndex()
        node = self._nodes[number]
        siblings = self._nodes[node.parent].visible if node.parent >= 0 else [number]
        is_visible = node.row < len(siblings) and siblings[node.row] == number
        return self.createIndex(node.row, column, number) if is_visible else QModelIndex()

    def badges(self, node: Node) -> tuple[Badge, ...]:
        """Return the badges at a node; at a slice of a qkv, those with the slice."""
        badges = self._annotations.badges.get(node.layer.path, ())
        return tuple(b for b in badges if node.part in b.slices) if node.part else badges

    @property
    def layer_numbers(self) -> list[int]:
        """The numbers of the nodes that are layers, in the order of the tree."""
        return self._tree_data.layers

    def is_frozen(self, number: int) -> bool:
        """Return whether the node has own weights that are not highlighted."""
        return self._nodes[number].layer.own_parameters > 0

    def highlighted_layers(self) -> list[tuple[int, str]]:
        """Return the highlighted nodes with their color names, the strongest last."""
        heads = [(number, "head") for number in self._tree_data.heads if self._annotations.head_trainable]
        enabled = [path for path, badges in self._annotations.badges.items() if any(badge.enabled for badge in badges)]
        adapted = [(self._number_of.get(NodeRef(path), -1), "adapter") for path in (*enabled, *self._targets)]
        same_kind = [(self._number_of.get(NodeRef(path), -1), "accent") for path in self._same_kind]
        return [(number, tint) for number, tint in (*same_kind, *heads, *adapted) if number >= 0]

    def ref_by_number(self, number: int) -> NodeRef:
        """Return the place of the node with this number."""
        return self._nodes[number].ref

    def summary(self, number: int) -> SubtreeSummary:
        """Return the sums over a node and its subtree."""
        return self._summaries.get(number, _EMPTY_SUMMARY)

    @property
    def _nodes(self) -> list[Node]:
        return self._tree_data.nodes

    @property
    def _number_of(self) -> dict[NodeRef, int]:
        return self._tree_data.number_of

    # QAbstractItemModel

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
        return localized(COLUMNS[section]) if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: the content of a cell, under the roles of this module for the delegate."""
        node = self.node(index)
        if node is None:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(node, index.internalId(), index.column())
        if role == NODE_ROLE:
            return node
        if role == BADGES_ROLE:
            return self.badges(node)
        if role == TARGET_ROLE:
            return "" if node.part else self._target_state(node.layer.path)
        if role == PAIR_ROLE:
            return None if node.part else self._pairs.get(node.layer.path)
        if role == DIM_ROLE:
            return bool(self._dragged) and bool(self.attach_error_at(self._dragged, node.ref))
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tool_tip(node)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{localized(COLUMNS[index.column()])}: {self._text(node, index.internalId(), index.column())}"
        return None

    def _text(self, node: Node, number: int, column: int) -> str:
        if column == NAME:
            return localized(SLICE_LABELS[node.part]) if node.part else node.layer.name or tr("backbone")
        if column == TYPE:
            return type_and_shape(node)
        if column == PARAMETERS:
            number = node.layer.parameters // 3 if node.part else node.layer.parameters
            return format_count(number) if number else "–"
        if column == TRAINABLE:
            return self._trainable_text(node, number)
        return ", ".join(badge_text(b, node.part) for b in self.badges(node))

    def _trainable_text(self, node: Node, number: int) -> str:
        if node.part:
            return tr("adapter") if any(b.enabled for b in self.badges(node)) else tr("frozen")
        total = self.summary(number).trainable
        return format_count(total) if total else tr("frozen") if node.layer.parameters else "–"

    def _tool_tip(self, node: Node) -> str:
        if self._dragged and (reason := self.attach_error_at(self._dragged, node.ref)):
            return localized(reason)
        lines = [node.layer.path or tr("whole backbone"), f"{node.layer.type}, {role_label(node.layer.role)}"]
        badges = self.badges(node)
        lines += [f"{badge.attachment}: {badge_text(badge)}" for badge in badges]
        lines += [self.grad_norms.describe(badge.attachment, node.layer.path) for badge in badges]
        if not node.part and (pair := self._pairs.get(node.layer.path)):
            lines += [f"A: {', '.join(pair.left) or '–'}", f"B: {', '.join(pair.right) or '–'}"]
        return "\n".join(filter(None, (*lines, localized(node.layer.bypass_reason))))

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """Qt: every row can be selected; :meth:`accepts_drop` decides about a drop."""
        return _ROW_FLAGS if index.isValid() else Qt.ItemFlag.ItemIsDropEnabled

    # dropping

    def mimeTypes(self) -> list[str]:
        """Qt: the formats that can be dropped."""
        return list(MIMES)

    def supportedDropActions(self) -> Qt.DropAction:
        """Qt: a drop copies, or moves an attachment."""
        return Qt.DropAction.CopyAction | Qt.DropAction.MoveAction

    def canDropMimeData(self, data: QMimeData, action: Any, row: int, column: int, parent: _Index) -> bool:
        """Qt: whether the payload of ``data`` can be attached at ``parent``."""
        return self.accepts_drop(from_mime(data), (self.ref(parent),))

    def dropMimeData(self, data: QMimeData, action: Any, row: int, column: int, parent: _Index) -> bool:
        """Qt: attach the payload of ``data`` at ``parent``."""
        return self.attach(from_mime(data), (self.ref(parent),))

    def accepts_drop(self, payload: DragPayload, refs: tuple[NodeRef, ...]) -> bool:
        """Return whether ``payload`` can be attached at ``refs``."""
        if not payload or not self._nodes:
            return False
        return not (self.attach_error_at(payload, refs[0]) if len(refs) == 1 else self._attach_error(payload, refs))

    def attach(self, payload: DragPayload, refs: tuple[NodeRef, ...]) -> bool:
        """Attach ``payload`` at ``refs``; return False if that is impossible."""
        if not self.accepts_drop(payload, refs):
            return False
        self._attach(payload, refs)
        return True

    def attach_error_at(self, payload: DragPayload, ref: NodeRef) -> str:
        """Return why ``payload`` cannot be attached at ``ref``; cached during a drag."""
        if payload != self._dragged:
            return self._attach_error(payload, (ref,))
        if ref not in self._attach_errors:
            self._attach_errors[ref] = self._attach_error(payload, (ref,))
        return self._attach_errors[ref]


def _ancestors(path: str) -> list[str]:
    """Return the paths of the layers around ``path``, without the backbone."""
    return [path.rsplit(".", cut)[0] for cut in range(1, path.count(".") + 1)]
