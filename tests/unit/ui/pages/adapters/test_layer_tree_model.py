"""The models of the layer tree and of the palette over plain rows."""

from itertools import pairwise

import pytest
from PySide6.QtCore import QRect, Qt

from studio.ui.pages.adapters.annotations import badge_text
from studio.ui.pages.adapters.layer_tree_model import (
    ATTACHMENTS,
    DIM_ROLE,
    NAME,
    PARAMETERS,
    TARGET_ROLE,
    TRAINABLE,
    TYPE,
    LayerTree,
)
from studio.ui.pages.adapters.palette_model import METHOD_ROLE, Palette
from studio.ui.pages.adapters.tree_delegate import badge_boxes
from studio.ui.services.method_rows import MethodRow
from studio.ui.services.tree_data import Badge, NodeRef, TreeAnnotations

QKV = NodeRef("blocks.0.attn.qkv")


@pytest.fixture
def dropped():
    return []


@pytest.fixture
def tree(qapp, rows, check_model, dropped):
    model = LayerTree(
        lambda method, refs: "" if "qkv" in refs[0].path else "Only qkv takes it.",
        lambda method, refs: dropped.append((method, refs)),
    )
    check_model(model)
    model.show_layers(rows)
    return model


def text(model, ref, column=NAME):
    return model.index_of(ref, column).data()


def names(model, parent):
    return [model.index(row, 0, parent).data() for row in range(model.rowCount(parent))]


def test_the_tree_has_the_backbone_as_its_root_and_slices_under_a_fused_qkv(tree):
    root = tree.index(0, 0)
    assert tree.rowCount() == 1
    assert root.data() == "backbone"
    assert names(tree, root) == ["blocks", "head"]
    assert names(tree, tree.index_of(QKV)) == ["q (query)", "k (key)", "v (value)"]


def test_a_row_shows_type_shape_parameters_and_that_it_is_frozen(tree):
    assert text(tree, QKV, TYPE) == "Linear  48 × 16"
    assert text(tree, QKV, PARAMETERS) == "816"
    assert text(tree, QKV, TRAINABLE) == "frozen"
    assert text(tree, NodeRef(QKV.path, "q"), TYPE) == "rows  16 × 16"


def test_layers_without_parameters_are_shown_only_when_asked_for(tree):
    drop = NodeRef("blocks.0.attn.drop")
    tree.show_filter("")
    assert not tree.index_of(drop).isValid()
    tree.show_filter("", show_empty=True)
    assert text(tree, drop, PARAMETERS) == "–"


def test_a_filter_keeps_matches_and_their_ancestors(tree):
    tree.show_filter("1.attn.proj")
    assert names(tree, tree.index(0, 0)) == ["blocks"]
    assert names(tree, tree.index_of(NodeRef("blocks"))) == ["1"]
    assert not tree.index_of(QKV).isValid()
    tree.show_filter("")
    assert text(tree, QKV) == "qkv"


def test_badges_are_at_their_layers_and_slices_and_add_up_to_the_root(tree):
    badge = Badge("lora", "LoRA r8", 512, slices=("q", "v"))
    tree.show_annotations(TreeAnnotations({QKV.path: (badge,)}, head_trainable=True))
    assert text(tree, QKV, ATTACHMENTS) == "LoRA r8 on q, v +512"
    assert text(tree, NodeRef(QKV.path, "q"), TRAINABLE) == "adapter"
    assert text(tree, NodeRef(QKV.path, "k"), TRAINABLE) == "frozen"
    assert text(tree, NodeRef("blocks.0"), TRAINABLE) == "512"
    assert text(tree, NodeRef("blocks.1"), TRAINABLE) == "frozen"
    assert text(tree, NodeRef(), TRAINABLE) == "682"


def test_a_disabled_badge_is_marked_and_not_counted(tree):
    tree.show_annotations(
        TreeAnnotations({QKV.path: (Badge("lora", "LoRA r8", None, enabled=False),)}, head_trainable=False)
    )
    assert text(tree, QKV, ATTACHMENTS) == "LoRA r8 off"
    assert text(tree, NodeRef(), TRAINABLE) == "frozen"


def test_counts_above_32_bits_are_shown_in_full(tree):
    assert badge_text(Badge("a", "Full", 5_000_000_000)) == "Full +5B"
    tree.show_annotations(TreeAnnotations({QKV.path: (Badge("a", "Full", 5_000_000_000),)}, head_trainable=False))
    assert text(tree, NodeRef(), TRAINABLE) == "5,000,000,000"


def test_a_drop_on_a_layer_attaches_there(tree, drag, dropped):
    index = tree.index_of(QKV)
    assert tree.canDropMimeData(drag("lora"), Qt.DropAction.CopyAction, -1, -1, index)
    assert tree.dropMimeData(drag("lora"), Qt.DropAction.CopyAction, -1, -1, index)
    assert dropped == [("lora", (QKV,))]


def test_an_impossible_drop_attaches_nothing(tree, drag, dropped):
    index = tree.index_of(NodeRef("head"))
    assert not tree.canDropMimeData(drag("lora"), Qt.DropAction.CopyAction, -1, -1, index)
    assert not tree.dropMimeData(drag("lora"), Qt.DropAction.CopyAction, -1, -1, index)
    assert dropped == []


def test_rows_that_do_not_support_the_dragged_method_are_dimmed_with_the_reason(tree):
    tree.show_drag("lora")
    assert tree.index_of(NodeRef("head")).data(DIM_ROLE) is True
    assert tree.index_of(NodeRef("head")).data(Qt.ItemDataRole.ToolTipRole) == "Only qkv takes it."
    assert tree.index_of(QKV).data(DIM_ROLE) is False
    tree.show_drag("")
    assert tree.index_of(NodeRef("head")).data(DIM_ROLE) is False


def test_the_targets_of_a_drop_and_their_ancestors_are_marked(tree):
    tree.show_targets(frozenset({QKV.path}))
    marked = {ref.path: tree.index_of(ref).data(TARGET_ROLE) for ref in (QKV, NodeRef("blocks.0"), NodeRef("blocks.1"))}
    assert marked == {QKV.path: "target", "blocks.0": "target ancestor", "blocks.1": ""}
    tree.show_targets(frozenset())
    assert tree.index_of(QKV).data(TARGET_ROLE) == ""


def test_ten_thousand_layers_keep_their_order(qapp, check_model, rows):
    from dataclasses import replace

    model = LayerTree(lambda method, refs: "", lambda method, refs: None)
    check_model(model)
    block = rows[2]
    model.show_layers((rows[0], rows[1], *(replace(block, path=f"blocks.{i}", block=i) for i in range(10_000))))
    blocks = model.index_of(NodeRef("blocks"))
    assert model.rowCount(blocks) == 10_000
    assert model.index(9_999, 0, blocks).data() == "9999"


@pytest.fixture
def palette(qapp, check_model):
    model = Palette()
    check_model(model)
    rows = [("lora", "low rank"), ("dora", "low rank"), ("bitfit", "selective"), ("mine", "of a plugin")]
    model.show_methods([MethodRow(name, name.upper(), family, f"About {name}.", "", "") for name, family in rows])
    return model


def test_the_palette_names_each_family_once(palette):
    assert [palette.index(row).data() for row in range(4)] == ["LORA", "DORA", "BITFIT", "MINE"]
    assert [palette.starts_family(row) for row in range(4)] == [True, False, True, True]


def test_the_palette_filters_by_words_of_the_summary(palette):
    palette.show_filter("about bit")
    assert palette.rowCount() == 1
    assert palette.index(0).data(METHOD_ROLE).name == "bitfit"
    assert palette.row_of("lora") == -1


def test_a_drag_from_the_palette_carries_the_methods_name(palette):
    data = palette.mimeData([palette.index(0)])
    assert bytes(data.data("application/x-peft-studio-method").data()) == b"lora"


def test_every_badge_of_a_layer_has_room_in_a_narrow_cell(qapp):
    badges = [Badge(f"lora-{number}", "LoRA r8", 3072, True, ("q", "v")) for number in range(3)]
    cell = QRect(0, 0, 180, 28)
    boxes = [box for box, _ in badge_boxes(cell, badges, "")]
    assert len(boxes) == 3
    assert all(cell.contains(box) and box.width() >= 30 for box in boxes)
    assert not any(left.intersects(right) for left, right in pairwise(boxes))
