"""The layer tree as plain rows, without torch."""

import re
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The role of a layer in the network."""

    BACKBONE = "backbone"
    PATCH_EMBEDDING = "patch embedding"
    STAGE = "stage"
    BLOCK = "block"
    ATTENTION = "attention"
    QKV = "qkv"
    Q = "q"
    K = "k"
    V = "v"
    O = "o"  # noqa: E741 - the output projection's name in the literature
    MLP = "mlp"
    FC1 = "fc1"
    FC2 = "fc2"
    NORM = "norm"
    SCALE = "layer scale"
    CONV = "conv"
    HEAD = "head"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Layer:
    """One row of the layer tree.

    ``path`` is torch's dotted name (empty for the backbone itself), ``type`` the class's name, ``kind`` the torch type
    that it is an instance of where methods care: "linear", "conv2d", "norm" or "". ``shape`` is the weight's shape,
    empty without a weight of its own. ``parameters`` counts the layer with everything in it, ``own_parameters`` without
    its children. ``slices`` are the slices of a fused qkv; ``block`` is the index of the block that holds the layer.
    ``parameter_names`` are the last names of all parameters in it, such as "weight" or "q_bias". ``bypass_reason`` says
    why a module in this layer's place would never be called, empty if it would be. ``prefix_tokens`` counts the tokens
    (class, registers) before the patches in a network of tokens and its blocks, None elsewhere.
    ``supports_kv_injection`` marks an attention, or a block around one, to which the engine can add keys and values.
    ``width`` counts the features of the tokens that an attention, an MLP or a block takes and returns, 0 elsewhere and
    if unknown; ``channels_first`` says that they stand before height and width, not last.
    """

    path: str
    type: str
    kind: str
    role: Role
    parameters: int
    own_parameters: int
    shape: tuple[int, ...] = ()
    slices: tuple[str, ...] = ()
    block: int | None = None
    groups: int = 1
    has_bias: bool = False
    parameter_names: frozenset[str] = frozenset()
    bypass_reason: str = ""
    prefix_tokens: int | None = None
    supports_kv_injection: bool = False
    width: int = 0
    channels_first: bool = False

    @property
    def parent(self) -> str:
        """Path of the layer that holds this one."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


def is_within(path: str, layer: str) -> bool:
    """Return whether ``path`` is the path of ``layer`` or of a layer inside it; the empty path is the backbone."""
    return not layer or path == layer or path.startswith(f"{layer}.")


def wildcard_path(path: str) -> str:
    """Return ``path`` with ``*`` for each number, the same for layers of a kind."""
    return re.sub(r"(?<=\.)\d+(?=\.|$)", "*", path)
