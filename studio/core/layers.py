"""The layer tree as plain rows: what a window, a pattern or a method needs to know of a layer, without torch."""

import re
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a layer is for, in the field's own terms."""

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
    its children. ``slices`` are the parts that a fused qkv can be addressed by; ``block`` the index of the block that
    the layer is in. ``parameter_names`` are the last names of all parameters in it, such as "weight" or "q_bias".
    ``bypass_reason`` says why a module put in this layer's place would never be called, empty where it would be.
    ``prefix_tokens`` counts the tokens (class, registers) before the patches in a network of tokens and its blocks,
    None elsewhere. ``supports_kv_injection`` tells an attention, or a block around one, that the engine can add keys and values to.
    ``width`` counts the features of the tokens that an attention, an MLP or a block takes in and passes on, 0 elsewhere
    and where it is not known; ``channels_first`` tells that they stand before height and width, not last.
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


def wildcard_path(path: str) -> str:
    """``path`` with ``*`` for each number: what layers of the same kind have in common."""
    return re.sub(r"(?<=\.)\d+(?=\.|$)", "*", path)
