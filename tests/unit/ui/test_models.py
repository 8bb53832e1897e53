"""The item models over plain rows."""

import pytest
from PySide6.QtCore import QModelIndex, Qt

from studio.core.run import Run
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
from studio.ui.pages.results.class_metrics_model import ClassMetricsModel
from studio.ui.pages.train.run_model import RunModel
from studio.ui.services.method_rows import MethodRow
from studio.ui.services.trainer import RunRow
from studio.ui.services.tree_data import Badge, NodeRef, TreeAnnotations

QKV = NodeRef("blocks.0.attn.qkv")


@pytest.fixture
def dropped():
    return []


@pytest.fixture
def tree(qapp, rows, check_model, dropped):
    model = LayerTree(
        lambda method, spots: "" if "qkv" in spots[0].path else "Only qkv takes it.",
        lambda method, spots: dropped.append((method, spots)),
    )
    check_model(model)
    model.show_layers(rows)
    return model


def text(model, spot, column=NAME):
    return model.index_of(spot, column).data()


def names(model, parent):
    return [model.index(row, 0, parent).data() for row in range(model.rowCount(parent))]


def test_the_tree_has_the_backbone_as_its_root_and_slices_under_a_fused_qkv(tree):
    root = tree.index(0, 0)
    assert tree.rowCount() == 1
    assert root.data() == "backbone"
    assert names(tree, root) == ["blocks", "head"]
    assert names(tree, tree.index_of(QKV)) == ["q (query)", "k (key)", "v (value)"]


def test_a_row_says_type_shape_parameters_and_that_it_is_frozen(tree):
    assert text(tree, QKV, TYPE) == "Linear  48 × 16"
    assert text(tree, QKV, PARAMETERS) == "816"
    assert text(tree, QKV, TRAINABLE) == "frozen"
    assert text(tree, NodeRef(QKV.path, "q"), TYPE) == "rows of qkv  16 × 16"


def test_layers_without_parameters_are_shown_only_when_asked_for(tree):
    drop = NodeRef("blocks.0.attn.drop")
    tree.show_filter("")
    assert not tree.index_of(drop).isValid()
    tree.show_filter("", show_empty=True)
    assert text(tree, drop, PARAMETERS) == "–"


def test_a_filter_keeps_what_matches_and_the_way_to_it(tree):
    tree.show_filter("1.attn.proj")
    assert names(tree, tree.index(0, 0)) == ["blocks"]
    assert names(tree, tree.index_of(NodeRef("blocks"))) == ["1"]
    assert not tree.index_of(QKV).isValid()
    tree.show_filter("")
    assert text(tree, QKV) == "qkv"


def test_badges_stand_at_their_layer_and_slices_and_roll_up_to_the_root(tree):
    badge = Badge("lora", "LoRA r8", 512, slices=("q", "v"))
    tree.show_annotations(TreeAnnotations({QKV.path: (badge,)}, head_trainable=True))
    assert text(tree, QKV, ATTACHMENTS) == "LoRA r8 on q, v +512"
    assert text(tree, NodeRef(QKV.path, "q"), TRAINABLE) == "adapter"
    assert text(tree, NodeRef(QKV.path, "k"), TRAINABLE) == "frozen"
    assert text(tree, NodeRef("blocks.0"), TRAINABLE) == "512"
    assert text(tree, NodeRef("blocks.1"), TRAINABLE) == "frozen"
    assert text(tree, NodeRef(), TRAINABLE) == "682"


def test_a_badge_that_is_switched_off_says_so_and_counts_nothing(tree):
    tree.show_annotations(
        TreeAnnotations({QKV.path: (Badge("lora", "LoRA r8", None, enabled=False),)}, head_trainable=False)
    )
    assert text(tree, QKV, ATTACHMENTS) == "LoRA r8 off"
    assert text(tree, NodeRef(), TRAINABLE) == "frozen"


def test_badges_of_counts_above_32_bits_are_told_in_full(tree):
    assert badge_text(Badge("a", "Full", 5_000_000_000)) == "Full +5.0B"
    tree.show_annotations(TreeAnnotations({QKV.path: (Badge("a", "Full", 5_000_000_000),)}, head_trainable=False))
    assert text(tree, NodeRef(), TRAINABLE) == "5,000,000,000"


def test_a_drop_on_a_layer_attaches_there(tree, drag, dropped):
    index = tree.index_of(QKV)
    assert tree.canDropMimeData(drag("lora"), Qt.DropAction.CopyAction, -1, -1, index)
    assert tree.dropMimeData(drag("lora"), Qt.DropAction.CopyAction, -1, -1, index)
    assert dropped == [("lora", (QKV,))]


def test_a_refused_drop_attaches_nothing(tree, drag, dropped):
    index = tree.index_of(NodeRef("head"))
    assert not tree.canDropMimeData(drag("lora"), Qt.DropAction.CopyAction, -1, -1, index)
    assert not tree.dropMimeData(drag("lora"), Qt.DropAction.CopyAction, -1, -1, index)
    assert dropped == []


def test_rows_that_cannot_take_the_dragged_method_dim_and_say_why(tree):
    tree.show_drag("lora")
    assert tree.index_of(NodeRef("head")).data(DIM_ROLE) is True
    assert tree.index_of(NodeRef("head")).data(Qt.ItemDataRole.ToolTipRole) == "Only qkv takes it."
    assert tree.index_of(QKV).data(DIM_ROLE) is False
    tree.show_drag("")
    assert tree.index_of(NodeRef("head")).data(DIM_ROLE) is False


def test_the_layers_that_a_drop_would_attach_to_are_marked_with_what_holds_them(tree):
    tree.show_targets(frozenset({QKV.path}))
    marked = {
        spot.path: tree.index_of(spot).data(TARGET_ROLE) for spot in (QKV, NodeRef("blocks.0"), NodeRef("blocks.1"))
    }
    assert marked == {QKV.path: "target", "blocks.0": "target ancestor", "blocks.1": ""}
    tree.show_targets(frozenset())
    assert tree.index_of(QKV).data(TARGET_ROLE) == ""


def test_ten_thousand_layers_keep_their_order(qapp, check_model, rows):
    from dataclasses import replace

    model = LayerTree(lambda method, spots: "", lambda method, spots: None)
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


def test_runs_are_a_table_with_state_and_accuracy(qapp, check_model, tmp_path):
    model = RunModel()
    check_model(model)
    row = RunRow(Run(tmp_path / "one"), "one", "completed", "starter", "lora", 0.987, 10, 10)
    model.show_rows([row])
    assert [model.index(0, c).data() for c in range(6)] == ["one", "completed", "100 %", "starter", "lora", "98.7 %"]
    assert model.row_of("one") == 0
    model.show_rows([])
    assert model.rowCount() == 0


def test_classes_are_a_table(qapp, check_model):
    from studio.training.metrics import ClassMetrics

    classes = ClassMetricsModel()
    check_model(classes)
    classes.show_rows([ClassMetrics("cat", 3, 1.0, 0.5, 0.6667)])
    assert [classes.index(0, c).data() for c in range(5)] == ["cat", "3", "50.0 %", "100.0 %", "0.667"]
    assert classes.rowCount(classes.index(0, 0)) == 0
    assert classes.headerData(0, Qt.Orientation.Horizontal, Qt.ItemDataRole.DisplayRole) == "Class"
    assert QModelIndex().data() is None
