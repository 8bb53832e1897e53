"""The data of the layer tree: nodes, badges, and sums of subtrees."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from studio.core.layers import Layer, Role


@dataclass(frozen=True, slots=True)
class NodeRef:
    """A place in the tree: a layer, or one slice of a fused qkv."""

    path: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True)
class Badge:
    """One attachment at one layer: ``parameters`` is what it trains there, None before they are counted."""

    attachment: str
    text: str
    parameters: int | None
    enabled: bool = True
    slices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TreeAnnotations:
    """Badges of the attachments by layer path, and whether the head is trained."""

    badges: dict[str, tuple[Badge, ...]] = field(default_factory=dict)
    head_trainable: bool = True


@dataclass(frozen=True, slots=True)
class SubtreeSummary:
    """Sums of a row and its subtree: badges, trainable parameters of adapters and head, disabled badges."""

    badges: int = 0
    adapter_parameters: int = 0
    head_parameters: int = 0
    disabled: int = 0

    @property
    def any_enabled(self) -> bool:
        """Whether any of the badges is enabled."""
        return self.badges > self.disabled

    @property
    def trainable(self) -> int:
        """All trainable parameters."""
        return self.adapter_parameters + self.head_parameters


@dataclass(slots=True)
class Node:
    """One row: ``parent`` and ``children`` are positions in the list of nodes; filters search ``search_text``."""

    layer: Layer
    part: str
    parent: int
    row: int
    search_text: str
    children: list[int] = field(default_factory=list)
    visible: list[int] = field(default_factory=list)

    @property
    def ref(self) -> NodeRef:
        """Its place in the tree."""
        return NodeRef(self.layer.path, self.part)

    @property
    def is_head(self) -> bool:
        """Whether it is the classifier."""
        return self.layer.role is Role.HEAD


@dataclass(slots=True)
class TreeData:
    """The nodes of a tree in pre-order, with the position of each place, and of all layers and heads.

    ``kinds`` has a node for each type and shape, ``names`` one for each name at each depth, to size the columns by.
    """

    nodes: list[Node] = field(default_factory=list)
    number_of: dict[NodeRef, int] = field(default_factory=dict)
    layers: list[int] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    kinds: dict[tuple[str, tuple[int, ...], bool], int] = field(default_factory=dict)
    names: dict[tuple[int, str], int] = field(default_factory=dict)

    def add(self, layer: Layer, part: str, parent: int) -> int:
        """Append a row under the node ``parent``, -1 for the root; return its number."""
        number, row = len(self.nodes), 0
        if parent >= 0:
            above = self.nodes[parent]
            row = len(above.children)
            above.children.append(number)
        words = f"{layer.path} {layer.type} {layer.role}".lower()
        self.nodes.append(Node(layer, part, parent, row, words))
        self.number_of[NodeRef(layer.path, part)] = number
        self.kinds.setdefault((layer.type, layer.shape, bool(part)), number)
        self.names.setdefault((layer.path.count(".") + bool(layer.path) + bool(part), part or layer.name), number)
        if not part:
            self.layers.append(number)
            if layer.role is Role.HEAD and not (parent >= 0 and self.nodes[parent].is_head):
                self.heads.append(number)
        return number


def build_tree(layers: Sequence[Layer]) -> TreeData:
    """Build the tree of ``layers``, which are in pre-order; each fused qkv gets a child for each of its slices."""
    tree = TreeData()
    at: dict[str, int] = {}
    for layer in layers:
        parent = _parent_number(layer.path, at) if tree.nodes else -1
        number = at[layer.path] = tree.add(layer, "", parent)
        for part in layer.slices:
            tree.add(layer, part, number)
    return tree


def _parent_number(path: str, at: dict[str, int]) -> int:
    """Return the number of the nearest layer above ``path`` that has a row; layers in between may have none."""
    while path:
        path = path.rpartition(".")[0]
        if path in at:
            return at[path]
    return at.get("", 0)


def filter_tree(tree: TreeData, text: str, show_empty: bool) -> int:
    """Show only the rows that contain ``text`` and those above them; return the number of matching layers.

    Layers without parameters match only with ``show_empty``. Slices are shown with their layer.
    """
    nodes = tree.nodes
    kept, found = bytearray(len(nodes) + 1), 0
    for number in range(len(nodes) - 1, -1, -1):
        node = nodes[number]
        passes = text in node.search_text and (show_empty or node.layer.parameters > 0 or not node.layer.path)
        found += passes and not node.part
        if passes or kept[number]:
            kept[number] = kept[node.parent] = 1
    for node in nodes:
        if node.children:
            node.visible = [child for child in node.children if kept[child]]
            for row, child in enumerate(node.visible):
                nodes[child].row = row
    return found


def summarize(tree: TreeData, annotations: TreeAnnotations) -> dict[int, SubtreeSummary]:
    """Return the sums of all rows that have badges or trainable parameters in their subtree, by row number."""
    sums: dict[int, list[int]] = {}
    for path, badges in annotations.badges.items():
        number = tree.number_of.get(NodeRef(path), -1)
        for child in tree.nodes[number].children if number >= 0 else ():
            if part := tree.nodes[child].part:
                here = [badge for badge in badges if part in badge.slices]
                sums[child] = [len(here), 0, 0, sum(not badge.enabled for badge in here)]
        trained = sum(badge.parameters or 0 for badge in badges if badge.enabled)
        _add_to_ancestors(tree, sums, number, (len(badges), trained, 0, sum(not badge.enabled for badge in badges)))
    for number in tree.heads if annotations.head_trainable else ():
        _add_to_ancestors(tree, sums, number, (0, 0, tree.nodes[number].layer.parameters, 0))
    return {number: SubtreeSummary(*values) for number, values in sums.items()}


def _add_to_ancestors(tree: TreeData, sums: dict[int, list[int]], number: int, more: tuple[int, int, int, int]) -> None:
    while number >= 0:
        values = sums.setdefault(number, [0, 0, 0, 0])
        for place, value in enumerate(more):
            values[place] += value
        number = tree.nodes[number].parent
