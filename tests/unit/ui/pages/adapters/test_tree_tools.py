"""Tools of the tree: bulk attach bar, presets, removal, several attachments, minimap, comparison, history."""

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QGuiApplication

from studio.app.presets import get_preset
from studio.core.recipe import Attachment
from studio.ui.pages.adapters.layer_tree_model import PAIR_ROLE, TARGET_ROLE
from studio.ui.pages.adapters.palette_model import UNSUPPORTED_ROLE
from studio.ui.pages.adapters.palette_panel import PRESETS_TAB
from studio.ui.pages.adapters.placement_diagram import PlacementDiagram
from studio.ui.pages.adapters.tree_delegate import area_after_tags, comparison_tags, state_icon, summary_text
from studio.ui.services import recipe_edits
from studio.ui.services.drag_payload import LiftedAttachment, from_mime, to_mime
from studio.ui.services.tree_data import NodeRef, SubtreeSummary
from studio.ui.widgets.fields import mixed_text

QKV = NodeRef("blocks.0.attn.qkv")


@pytest.fixture
def page(ready):
    return ready.adapters


@pytest.fixture
def workspace(ready):
    return ready.workspace


def at(workspace):
    return [(a.name, a.at, a.slices) for a in workspace.recipe.attachments]


# payloads


@pytest.mark.parametrize(
    "carried",
    [
        "lora",
        get_preset("ssf"),
        LiftedAttachment(Attachment(name="a", method="lora", at=("x",), config={"rank": 2}), QKV),
    ],
    ids=["method", "preset", "attachment"],
)
def test_a_payload_survives_the_drag(qapp, carried):
    assert from_mime(to_mime(carried)) == carried


def test_damaged_data_is_no_payload(qapp):
    from PySide6.QtCore import QMimeData

    data = QMimeData()
    data.setData("application/x-peft-studio-attachment", b'{"attachment": 3}')
    assert from_mime(data) == ""
    data = QMimeData()
    data.setData("application/x-peft-studio-preset", b"unheard of")
    assert from_mime(data) == ""


# the bulk attach bar


def test_a_pattern_is_counted_while_it_is_typed_and_attached_as_one_step(page, workspace, qtbot, settled, ready):
    rule = page.tree_panel.bulk_attach_bar
    qtbot.keyClicks(rule.pattern_edit, "attn.qkv")
    rule.first_block.setValue(2)
    assert rule.result_label.text().startswith("Matches 4 layers")
    assert page.tree_panel.model.index_of(NodeRef("blocks.2")).data(TARGET_ROLE) == "target ancestor"
    assert page.tree_panel.model.index_of(QKV).data(TARGET_ROLE) != "target"
    qtbot.waitUntil(lambda: "parameters" in rule.result_label.text(), timeout=20_000)
    assert workspace.recipe.attachments == ()
    qtbot.keyClick(rule.pattern_edit, Qt.Key.Key_Return)
    assert at(workspace) == [("lora", ("blocks.{2..5}.attn.qkv",), ())]
    assert workspace.document.undo_stack.count() == 1
    assert rule.pattern_edit.text() == ""


def test_skipped_layers_are_listed_with_reasons(page):
    page.tree_panel.bulk_attach_bar.pattern_edit.setText("attn.*")
    assert ", skips " in page.tree_panel.bulk_attach_bar.result_label.text()
    assert "LoRA needs a plain linear" in page.tree_panel.bulk_attach_bar.details.text()


def test_a_pattern_without_matches_attaches_nothing(page, workspace, qtbot):
    page.tree_panel.bulk_attach_bar.pattern_edit.setText("nowhere")
    assert page.tree_panel.bulk_attach_bar.result_label.property("role") == "bad"
    qtbot.keyClick(page.tree_panel.bulk_attach_bar.pattern_edit, Qt.Key.Key_Return)
    assert workspace.recipe.attachments == ()
    page.tree_panel.bulk_attach_bar.pattern_edit.setText("qkv")
    page.tree_panel.bulk_attach_bar.last_block.setValue(1)
    page.tree_panel.bulk_attach_bar.first_block.setValue(3)
    assert "first block is after the last" in page.tree_panel.bulk_attach_bar.result_label.text()


def test_the_bulk_attach_bar_follows_the_palette(page):
    page.palette_panel.list_view.setCurrentIndex(page.palette_panel.model.index(page.palette_panel.model.row_of("ssf")))
    assert page.tree_panel.bulk_attach_bar.method_box.currentData() == "ssf"


# presets


def test_presets_are_in_the_palette_and_each_is_one_step(page, workspace, ready):
    page.palette_panel.kind_switch.button_at(PRESETS_TAB).click()
    rows = page.palette_panel.model.methods
    assert {"LoRA on q, v", "VPT-deep", "BitFit", "Last 4 blocks", "SSF"} <= {row.label for row in rows}
    before = workspace.recipe
    for row in rows:
        assert workspace.attach(row.payload, (NodeRef(),)), row.name
        assert workspace.document.undo_stack.count() == 1
        ready.undo()
        assert workspace.recipe == before


def test_unsupported_presets_are_dimmed_with_the_reason(page, workspace, qtbot, settled, ready):
    workspace.set_value("backbone", {"name": "resnet10t", "source": "timm", "pretrained": False})
    settled(ready)
    page.palette_panel.kind_switch.button_at(PRESETS_TAB).click()
    row = page.palette_panel.model.row_of("preset:vpt-deep")
    index = page.palette_panel.model.index(row)
    qtbot.waitUntil(lambda: bool(index.data(UNSUPPORTED_ROLE)), timeout=20_000)
    assert index.data(UNSUPPORTED_ROLE).endswith(".")
    assert index.data(Qt.ItemDataRole.ToolTipRole) == index.data(UNSUPPORTED_ROLE)
    assert not index.flags() & Qt.ItemFlag.ItemIsDragEnabled


# copying and removing


def test_one_slice_is_removed_and_the_other_stays(page, workspace):
    workspace.attach("lora", (NodeRef("blocks.0"), NodeRef("blocks.1")))
    workspace.detach_at((("lora", NodeRef(QKV.path, "q")),))
    assert at(workspace) == [
        ("lora", ("blocks.1.attn.qkv",), ("q", "v")),
        ("lora-2", ("blocks.0.attn.qkv",), ("v",)),
    ]


def test_delete_on_a_block_removes_the_attachments_inside(page, workspace, qtbot):
    workspace.attach("lora", (NodeRef(),))
    page.tree_panel.tree.setCurrentIndex(page.tree_panel.model.index_of(NodeRef("blocks.3")))
    qtbot.keyClick(page.tree_panel.tree, Qt.Key.Key_Delete)
    assert at(workspace) == [("lora", ("blocks.{0..2}.attn.qkv", "blocks.{4..5}.attn.qkv"), ("q", "v"))]


def test_a_copy_keeps_its_settings(page, workspace):
    workspace.attach("lora", (QKV,))
    workspace.change_attachment("lora", {"config": {"rank": 3}}, "rank")
    lifted = workspace.attachment_editor.lift("lora", QKV)
    assert workspace.attach(lifted, (NodeRef("blocks.1"),))
    assert workspace.recipe.attachments[1].config["rank"] == 3
    assert "Already" in workspace.attachment_editor.attach_error(lifted, (QKV,))


def test_paste_without_a_copy_is_reported(page, workspace):
    QGuiApplication.clipboard().clear()
    page.paste()
    assert "Nothing to paste" in page.tree_panel.hint.text()
    page.tree_panel.tree.setCurrentIndex(page.tree_panel.model.index_of(NodeRef("blocks.1")))
    page.copy()
    assert "No attachments" in page.tree_panel.hint.text()


def test_the_menu_attaches_to_all_of_the_kind_and_removes_here(page, workspace):
    workspace.attach("lora", (NodeRef(),))
    place = page.tree_panel.tree.visualRect(page.tree_panel.model.index_of(QKV)).center()
    actions = {a.text(): a for a in page.menu_at(place).actions()}
    assert {"Attach LoRA to all 6 of this kind", "Copy lora", "Remove lora", "Edit lora"} <= set(actions)
    actions["Remove lora here"].trigger()
    assert at(workspace)[0][1] == ("blocks.{1..5}.attn.qkv",)


# settings of several attachments


@pytest.fixture
def two(page, workspace, settled, ready):
    workspace.attach("lora", (QKV,))
    workspace.attach("lora", (NodeRef("blocks.1"),))
    workspace.change_attachment("lora-2", {"config": {**workspace.recipe.attachments[1].config, "rank": 4}}, "rank")
    settled(ready)
    page.inspector.select("lora", "lora-2")
    return page.inspector.settings


def test_an_edit_of_several_values_is_one_step_for_all(two, workspace, qtbot):
    rank, alpha = two.form.fields["rank"], two.form.fields["alpha"]
    assert rank.text() == mixed_text()
    assert alpha.value() == 8.0
    assert not two.targets_section.isVisible()
    steps = workspace.document.undo_stack.count()
    rank.selectAll()
    qtbot.keyClicks(rank, "16")
    qtbot.keyClick(rank, Qt.Key.Key_Return)
    assert [a.config["rank"] for a in workspace.recipe.attachments] == [16, 16]
    assert workspace.document.undo_stack.count() == steps + 1
    assert rank.text() == "16"


def test_typing_the_value_that_a_mixed_field_holds_unseen_counts_too(two, workspace, qtbot):
    rank = two.form.fields["rank"]
    rank.selectAll()
    qtbot.keyClicks(rank, str(rank.value()))
    qtbot.keyClick(rank, Qt.Key.Key_Return)
    assert len({a.config["rank"] for a in workspace.recipe.attachments}) == 1


def test_an_invalid_number_leaves_several_values(two, workspace, qtbot):
    before, rank = workspace.recipe, two.form.fields["rank"]
    rank.selectAll()
    qtbot.keyClick(rank, Qt.Key.Key_Backspace)
    qtbot.keyClick(rank, Qt.Key.Key_Return)
    assert workspace.recipe == before
    assert rank.text() == mixed_text()


def test_leaving_a_mixed_field_changes_nothing(two, workspace, qtbot):
    before = workspace.recipe
    rank = two.form.fields["rank"]
    rank.setFocus()
    qtbot.keyClick(rank, Qt.Key.Key_Return)
    two.form.fields["alpha"].setFocus()
    assert workspace.recipe == before
    assert rank.text() == mixed_text()


def test_a_click_on_mixed_slices_turns_all_on(two, workspace):
    workspace.change_attachment("lora", {"slices": ("v",)})
    assert two.slice_switches["q"].checkState() == Qt.CheckState.PartiallyChecked
    two.slice_switches["q"].click()
    assert [a.slices for a in workspace.recipe.attachments] == [("q", "v"), ("q", "v")]


def test_methods_of_one_family_share_the_fields_that_are_the_same(page, workspace, settled, ready):
    workspace.attach("lora", (QKV,))
    workspace.attach("dora", (NodeRef("blocks.1"),))
    workspace.attach("bitfit", (NodeRef(),))
    settled(ready)
    page.inspector.select("lora", "dora")
    assert "rank" in page.inspector.settings.form.fields
    page.inspector.select("lora", "bitfit")
    assert page.inspector.settings.form is None


def test_a_field_is_shown_only_if_it_has_an_effect(page, workspace, settled, ready):
    workspace.attach("prefix", (NodeRef(),))
    settled(ready)
    fields = page.inspector.settings.form.fields
    assert fields["std"].isVisible()
    assert not fields["hidden"].isVisible()
    fields["reparameterize"].click()
    assert fields["hidden"].isVisible()
    assert not fields["std"].isVisible()


def test_rows_are_selected_together_with_ctrl_and_by_keyboard(page, workspace, qtbot):
    workspace.attach("lora", (QKV,))
    workspace.attach("lora", (NodeRef("blocks.1"),))
    rows = page.inspector.rows
    qtbot.mouseClick(rows["lora"], Qt.MouseButton.LeftButton)
    qtbot.mouseClick(rows["lora-2"], Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier)
    assert page.inspector.selected_names == ("lora", "lora-2")
    qtbot.keyClick(rows["lora-2"], Qt.Key.Key_Space)
    assert page.inspector.selected_names == ("lora-2",)
    qtbot.keyClick(rows["lora-2"], Qt.Key.Key_Delete)
    assert [a.name for a in workspace.recipe.attachments] == ["lora"]


def test_each_placement_is_drawn_and_described(qapp):
    from studio.peft.contract import METHODS
    from studio.peft.method_info import DIAGRAMS

    drawn = {}
    diagram = PlacementDiagram()
    diagram.resize(260, 86)
    for sits in DIAGRAMS:
        diagram.show_diagram(sits, "qkv")
        drawn[sits] = diagram.grab().toImage()
        assert "qkv" in diagram.accessibleName()
    assert len({image.constBits().tobytes() for image in drawn.values()}) == len(DIAGRAMS)
    assert {method.info.diagram for method in METHODS} <= set(DIAGRAMS)


# layers of one kind, minimap


def test_layers_of_one_kind_are_highlighted_together(page):
    page.tree_panel.tree.setCurrentIndex(page.tree_panel.model.index_of(QKV))
    assert page.tree_panel.model.index_of(QKV).data(TARGET_ROLE) == "same kind"
    assert page.tree_panel.model.index_of(NodeRef("blocks.4")).data(TARGET_ROLE) == "same kind ancestor"
    assert page.tree_panel.hint.text().startswith("6 layers of this kind")


def test_the_minimap_shows_attachments_and_scrolls_to_them(page, workspace, qtbot):
    workspace.attach("lora", (NodeRef("blocks.5"),))
    minimap = page.tree_panel.minimap
    lines = minimap._line_tints()
    height = lines.index("adapter")
    assert lines.count("adapter") == 1
    assert minimap.ref_at(height + 1).path.startswith("blocks.5.")
    qtbot.mouseClick(minimap, Qt.MouseButton.LeftButton, pos=QPoint(5, height + 1))
    assert page.tree_panel.tree.isExpanded(page.tree_panel.model.index_of(NodeRef("blocks.5")))
    assert minimap.visible_rect().bottom() >= height


def test_the_tree_is_as_before_after_a_filter(page):
    opened = page.tree_panel._expanded_refs()
    page.tree_panel.filter_edit.setText("norm")
    assert page.tree_panel.count_label.text().startswith("13 of ")
    page.tree_panel.filter_edit.setText("norm1")
    page.tree_panel.filter_edit.clear()
    assert page.tree_panel._expanded_refs() == opened


# comparison


def test_another_recipe_is_compared_on_the_tree(page, workspace, tmp_path, settled, ready):
    workspace.attach("lora", (QKV,))
    other = recipe_edits.without_attachments(workspace.recipe, {"lora"})
    fc1 = Attachment(name="b", method="lora", at=("blocks.*.mlp.fc1",))
    recipe_edits.with_attachments(other, (fc1,)).save(tmp_path / "other.toml")
    settled(ready)
    page.compare_bar.compare_file(tmp_path / "other.toml")
    assert "B is other.toml. 7 layers differ." in page.compare_bar.summary.text()
    model = page.tree_panel.model
    assert model.index_of(QKV).data(PAIR_ROLE).status == "left"
    assert comparison_tags(model.node(model.index_of(QKV)), model, is_open=True) == ["only in A"]
    assert comparison_tags(model.node(model.index_of(NodeRef("blocks.0"))), model, is_open=False) == ["2 differ"]
    workspace.detach({"lora"})
    settled(ready)
    assert "6 layers differ" in page.compare_bar.summary.text()
    page.compare_bar.open_side_by_side()
    page.compare_bar.dialog.close()
    page.compare_bar.stop()
    assert model.index_of(QKV).data(PAIR_ROLE) is None


def test_an_unreadable_recipe_is_not_compared(page, tmp_path):
    page.compare_bar.compare_file(tmp_path / "nothing.toml")
    assert "nothing.toml" in page.tree_panel.hint.text()
    assert page.compare_bar.other_recipe is None


# history


def test_the_history_lists_the_steps_and_goes_to_any(page, workspace, ready):
    first = workspace.recipe
    workspace.attach("lora", (QKV,))
    second = workspace.recipe
    workspace.attach(get_preset("bitfit"), (NodeRef(),))
    view = ready.history_button.popup.view
    names = [view.model().index(row, 0).data() for row in range(view.model().rowCount())]
    assert names == ["Beginning", "Attach LoRA", "Attach BitFit"]
    view.setCurrentIndex(view.model().index(0, 0))
    assert workspace.recipe == first
    view.setCurrentIndex(view.model().index(1, 0))
    assert workspace.recipe == second
    assert ready.isWindowModified()


def test_a_tag_names_the_additional_attachments_and_leaves_room(page, workspace, settled, ready):
    workspace.attach("lora", (QKV,))
    settled(ready)
    more = (Attachment(name="ia3", method="ia3", at=(QKV.path,), slices=("k", "v")),)
    page.compare_bar.compare(recipe_edits.with_attachments(workspace.recipe, more), "more")
    model = page.tree_panel.model
    assert comparison_tags(model.node(model.index_of(QKV)), model, is_open=True) == ["B: (IA)³ on k, v"]
    area = QRect(0, 0, 200, 28)
    assert area_after_tags(area, ["B: a very long name of a method with all of its settings"]).width() > 90


# removed widgets


def test_removed_widgets_never_become_windows(ready, qapp):
    document = ready.workspace.document
    for method in ("lora", "ssf", "dora"):
        ready.workspace.attach(method, (QKV,))
    document.undo_stack.setIndex(0)
    document.undo_stack.setIndex(3)
    qapp.processEvents()
    assert [w for w in qapp.topLevelWidgets() if w.isVisible() and w.objectName() == "attachment"] == []


def test_a_summary_without_counts_has_no_sum(qapp):
    assert summary_text(SubtreeSummary(badges=4, adapter_parameters=49_152)) == "4 adapters, +49.2k"
    assert summary_text(SubtreeSummary(badges=1)) == "1 adapter"


def test_disabled_attachments_are_dimmed(page, workspace, settled, ready):
    workspace.attach("lora", (NodeRef(),))
    workspace.change_attachment("lora", {"enabled": False})
    settled(ready)
    model = page.tree_panel.model
    block = model.index_of(NodeRef("blocks.0"))
    roll_up = model.summary(block.internalId())
    assert summary_text(roll_up) == "1 adapter off"
    assert state_icon(model.node(block), roll_up) == ("adapter", "muted")
    assert not [tint for _, tint in model.highlighted_layers() if tint == "adapter"]


def test_a_cleared_pattern_is_no_error(page):
    page.tree_panel.bulk_attach_bar.pattern_edit.setText("nowhere")
    assert page.tree_panel.bulk_attach_bar.pattern_edit.property("wrong") is True
    page.tree_panel.bulk_attach_bar.pattern_edit.clear()
    assert page.tree_panel.bulk_attach_bar.pattern_edit.property("wrong") is False
