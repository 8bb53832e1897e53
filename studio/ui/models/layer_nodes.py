"""What the layer tree is made of: nodes, badges, sums, and the words that they are told in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from studio.core.layers import Layer, Role
from studio.ui.figures import short_count
from studio.ui.language import tr

SLICE_LABELS = {"q": "query", "k": "key", "v": "value"}


@dataclass(frozen=True, slots=True)
class Spot:
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
class Marks:
    """What the attachments do to the tree: badges by layer path, and whether the head is trained."""

    badges: dict[str, tuple[Badge, ...]] = field(default_factory=dict)
    head_trains: bool = True


@dataclass(frozen=True, slots=True)
class RollUp:
    """What lies in and under a row: number of badges, and trained parameters of adapters and head."""

    badges: int = 0
    adapter_parameters: int = 0
    head_parameters: int = 0
    enabled: bool = True

    @property
    def trainable(self) -> int:
        """All trained parameters."""
        return self.adapter_parameters + self.head_parameters


@dataclass(slots=True)
class Node:
    """One row: ``parent`` and ``children`` are positions in the model's list of nodes."""

    layer: Layer
    part: str
    parent: int
    row: int
    children: list[int] = field(default_factory=list)
    visible: list[int] = field(default_factory=list)

    @property
    def spot(self) -> Spot:
        """Where it is."""
        return Spot(self.layer.path, self.part)

    @property
    def is_head(self) -> bool:
        """Whether it is the classifier."""
        return self.layer.role is Role.HEAD


def build_nodes(layers: Sequence[Layer]) -> list[Node]:
    """Nodes of a tree from rows in pre-order; each fused qkv gets a child for each of its slices."""
    nodes: list[Node] = []
    at: dict[str, int] = {}
    for layer in layers:
        parent = _holder(layer.path, at) if nodes else -1
        at[layer.path] = _add(nodes, layer, "", parent)
        for part in layer.slices:
            _add(nodes, layer, part, at[layer.path])
    return nodes


def _holder(path: str, at: dict[str, int]) -> int:
    """The nearest layer above ``path`` that is a row: a layer in between may be left out of the rows."""
    while path:
        path = path.rpartition(".")[0]
        if path in at:
            return at[path]
    return at.get("", 0)


def _add(nodes: list[Node], layer: Layer, part: str, parent: int) -> int:
    row = len(nodes[parent].children) if parent >= 0 else 0
    nodes.append(Node(layer, part, parent, row))
    if parent >= 0:
        nodes[parent].children.append(len(nodes) - 1)
        nodes[parent].visible.append(len(nodes) - 1)
    return len(nodes) - 1


def type_and_shape(node: Node) -> str:
    """``Linear 288 × 96``: outputs first, as torch stores the weight."""
    if node.part:
        rows, *rest = node.layer.shape
        return tr("rows of qkv") + "  " + " × ".join(map(str, (rows // 3, *rest)))
    shape = " × ".join(map(str, node.layer.shape))
    return f"{node.layer.type}  {shape}" if shape else node.layer.type


def badge_text(badge: Badge, part: str = "") -> str:
    """``LoRA r8 +12.3k``; inside a qkv the slices are named too."""
    words = badge.text
    if badge.slices and not part:
        words = tr("{method} on {slices}", method=words, slices=", ".join(badge.slices))
    if not badge.enabled:
        return tr("{method} off", method=words)
    added = f" +{short_count(badge.parameters)}" if badge.parameters is not None and not part else ""
    return f"{words}{added}"
