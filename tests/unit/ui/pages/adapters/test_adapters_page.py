"""The adapters page: attaching by drop, key, double-click and menu; counts, inspector, undo."""

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QFontMetrics
from PySide6.QtWidgets import QApplication, QFileDialog
from shiboken6 import delete

from studio.core.paths import resource
from studio.core.recipe import Attachment, Recipe
from studio.ui.pages.adapters.layer_tree_model import ATTACHMENTS, DIM_ROLE, NAME, PARAMETERS
from studio.ui.pages.adapters.page import AdaptersPage
from studio.ui.services.drag_payload import METHOD_MIME
from studio.ui.services.tree_data import NodeRef
from studio.ui.style.theme import theme
from studio.ui.widgets.painting import small_font

QKV = NodeRef("blocks.0.attn.qkv")


@pytest.fixture
def page(ready):
    return ready.adapters


def drop(page, method, ref, drag):
    index = page.tree_panel.model.index_of(ref) if ref else page.tree_panel.model.index(-1, -1)
    return page.tree_panel.model.dropMimeData(drag(method), Qt.DropAction.CopyAction, -1, -1, index)


def only(window):
    (attachment,) = window.workspace.recipe.attachments
    return attachment


def activate(window, qtbot):
    """Give the window the keyboard focus; the platform without a screen may ignore a request."""

    def is_active():
        window.activateWindow()
        return window.isActiveWindow()

    qtbot.waitUntil(is_active)


def figures(window):
    bar = window.status_bar
    return bar.trainable.value.text(), bar.total.value.text(), bar.share.value.text(), bar.file.value.text()


def test_the_palette_shows_every_method_of_the_registry(page):
    from studio.peft.contract import METHODS

    assert page.palette_panel.model.rowCount() == len(list(METHODS))
    assert page.palette_panel.list_view.selected_name == "lora"


def test_qt_accepts_the_models_while_they_are_used(page, ready, check_model, drag, settled):
    check_model(page.tree_panel.model)
    check_model(page.palette_panel.model)
    drop(page, "lora", QKV, drag)
    settled(ready)
    page.tree_panel.filter_edit.setText("qkv")
    page.tree_panel.filter_edit.clear()
    page.tree_panel.show_empty_button.click()


def test_a_drop_on_a_layer_attaches_there_and_counts_no_delay(page, ready, drag, settled):
    settled(ready)
    before = figures(ready)
    assert drop(page, "lora", QKV, drag)
    attachment = only(ready)
    assert (attachment.method, attachment.at, attachment.slices) == ("lora", (QKV.path,), ("q", "v"))
    settled(ready)
    assert figures(ready) != before
    assert int(figures(ready)[0].replace(",", "")) - int(before[0].replace(",", "")) == 2 * 8 * (96 + 96)
    assert page.tree_panel.model.index_of(QKV, ATTACHMENTS).data() == "LoRA r8 on q, v +3.1k"


def test_drops_on_a_slice_a_block_and_below_the_rows_attach_there(page, ready, drag):
    drop(page, "lora", NodeRef(QKV.path, "k"), drag)
    drop(page, "lora", NodeRef("blocks.2"), drag)
    drop(page, "lora", None, drag)
    k, block, whole = ready.workspace.recipe.attachments
    assert (k.at, k.slices) == ((QKV.path,), ("k",))
    assert block.at == ("blocks.2.attn.qkv",)
    assert whole.at == ("blocks.*.attn.qkv",)
    assert [a.name for a in (k, block, whole)] == ["lora", "lora-2", "lora-3"]


def test_an_impossible_drop_changes_nothing_and_hovering_shows_the_reason(page, ready, drag):
    head = NodeRef("head")
    assert not drop(page, "lora", head, drag)
    assert ready.workspace.recipe.attachments == ()
    page.tree_panel.show_drop_preview("lora", head)
    assert "head" in page.tree_panel.hint.text()
    page.tree_panel.show_drag("lora")
    assert page.tree_panel.model.index_of(head).data(DIM_ROLE) is True
    assert page.tree_panel.model.index_of(QKV).data(DIM_ROLE) is False
    page.tree_panel.show_drag("")


def test_hovering_shows_the_count_that_a_drop_would_add(page, ready, qtbot, settled):
    settled(ready)
    page.tree_panel.show_drop_preview("lora", NodeRef("blocks.1"))
    qtbot.waitUntil(lambda: "+3,072 parameters" in page.tree_panel.hint.text(), timeout=10_000)
    assert ready.workspace.recipe.attachments == ()


def test_the_views_own_drag_events_lead_to_an_attachment(page, ready, drag, qapp):
    tree, data = page.tree_panel.tree, drag("lora")
    point = tree.visualRect(page.tree_panel.model.index_of(QKV)).center()
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    qapp.sendEvent(tree.viewport(), QDragEnterEvent(point, copy, data, left, none))
    assert page.tree_panel.model.index_of(NodeRef("head")).data(DIM_ROLE) is True
    move = QDragMoveEvent(point, copy, data, left, none)
    qapp.sendEvent(tree.viewport(), move)
    assert move.isAccepted()
    assert "LoRA" in page.tree_panel.hint.text()
    qapp.sendEvent(tree.viewport(), QDropEvent(QPointF(point), copy, data, left, none))
    assert only(ready).at == (QKV.path,)
    assert page.tree_panel.model.index_of(NodeRef("head")).data(DIM_ROLE) is False


def test_enter_attaches_the_chosen_method_to_the_selected_row(page, ready, qtbot):
    page.tree_panel.tree.setCurrentIndex(page.tree_panel.model.index_of(NodeRef("blocks.1")))
    qtbot.keyClick(page.tree_panel.tree, Qt.Key.Key_Return)
    assert only(ready).at == ("blocks.1.attn.qkv",)


def test_ctrl_return_attaches_from_anywhere_on_the_page(page, ready, qtbot):
    activate(ready, qtbot)
    page.palette_panel.list_view.setFocus()
    qtbot.waitUntil(page.palette_panel.list_view.hasFocus)
    qtbot.keyClick(page.palette_panel.list_view, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert only(ready).at == ("blocks.*.attn.qkv",)


def test_a_double_click_attaches_to_every_selected_row(page, ready, qtbot):
    page.tree_panel.tree.setCurrentIndex(page.tree_panel.model.index_of(NodeRef("blocks.0")))
    flag = page.tree_panel.tree.selectionModel().SelectionFlag
    for block in (1, 2):
        index = page.tree_panel.model.index_of(NodeRef(f"blocks.{block}"))
        page.tree_panel.tree.selectionModel().select(index, flag.Select | flag.Rows)
    rect = page.palette_panel.list_view.visualRect(page.palette_panel.model.index(0))
    qtbot.mouseClick(page.palette_panel.list_view.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    qtbot.mouseDClick(page.palette_panel.list_view.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    assert only(ready).at == ("blocks.{0..2}.attn.qkv",)


def test_the_menu_attaches_removes_and_shows_reasons(page, ready, drag):
    place = page.tree_panel.tree.visualRect(page.tree_panel.model.index_of(QKV)).center()
    actions = {a.text(): a for a in page.menu_at(place).actions()}
    actions["Attach LoRA"].trigger()
    assert only(ready).at == (QKV.path,)
    actions = {a.text(): a for a in page.menu_at(place).actions()}
    actions["Remove lora"].trigger()
    assert ready.workspace.recipe.attachments == ()
    tree, index = page.tree_panel.tree, page.tree_panel.model.index_of(NodeRef("head"))
    tree.scrollTo(index)
    head = page.menu_at(tree.visualRect(index).center()).actions()[0]
    assert not head.isEnabled()
    assert head.toolTip().endswith(".")


def test_delete_removes_what_is_attached_to_the_selected_row(page, ready, drag, settled, qtbot):
    drop(page, "lora", QKV, drag)
    settled(ready)
    page.tree_panel.tree.setCurrentIndex(page.tree_panel.model.index_of(QKV))
    qtbot.keyClick(page.tree_panel.tree, Qt.Key.Key_Delete)
    assert ready.workspace.recipe.attachments == ()
    qtbot.keyClick(page.tree_panel.tree, Qt.Key.Key_Delete)
    assert "No attachments" in page.tree_panel.hint.text()


def test_the_inspector_edits_rank_and_the_counter_follows(page, ready, drag, settled, qtbot):
    drop(page, "lora", QKV, drag)
    settled(ready)
    before = figures(ready)
    page.inspector.settings._form.fields["rank"].setValue(16)
    assert only(ready).config["rank"] == 16
    settled(ready)
    assert figures(ready) != before
    assert "LoRA r16" in page.tree_panel.model.index_of(QKV, ATTACHMENTS).data()


def test_everything_is_undone_and_redone(page, ready, drag, settled):
    beginning = ready.workspace.recipe
    drop(page, "lora", QKV, drag)
    page.inspector.settings._form.fields["rank"].setValue(4)
    page.inspector.settings._form.fields["rank"].setValue(5)
    page.inspector.head_switch.click()
    page.inspector.rows["lora"].switch.click()
    end = ready.workspace.recipe
    steps = ready.workspace.document.undo_stack.count()
    assert steps == 4
    for _ in range(steps):
        ready.undo_button.click()
    assert ready.workspace.recipe == beginning
    settled(ready)
    assert page.tree_panel.model.index_of(QKV, ATTACHMENTS).data() == ""
    for _ in range(steps):
        ready.actions_by_slot["redo"].trigger()
    assert ready.workspace.recipe == end
    assert page.inspector.settings._form.fields["rank"].value() == 5


def test_a_disabled_attachment_is_not_counted(page, ready, drag, settled):
    settled(ready)
    before = figures(ready)
    drop(page, "lora", QKV, drag)
    page.inspector.rows["lora"].switch.click()
    settled(ready)
    assert figures(ready) == before
    assert page.tree_panel.model.index_of(QKV, ATTACHMENTS).data().endswith("off")


def test_slice_switches_are_shown_only_for_a_fused_qkv(page, ready, drag):
    drop(page, "lora", QKV, drag)
    settings = page.inspector.settings
    assert settings.slice_row.isVisible()
    settings.slice_switches["k"].click()
    assert only(ready).slices == ("q", "k", "v")
    drop(page, "lora", NodeRef("blocks.0.mlp.fc1"), drag)
    assert not settings.slice_row.isVisible()


def test_matches_are_shown_while_the_pattern_is_typed(page, ready, drag, qtbot):
    drop(page, "lora", QKV, drag)
    settings, field = page.inspector.settings, page.inspector.settings.targets
    settings.slice_switches["q"].click()
    settings.slice_switches["v"].click()
    field.selectAll()
    qtbot.keyClicks(field, "blocks.{1..3}.attn.*")
    assert "Matches 6 layers" in settings.matches_label.text()
    assert only(ready).at == (QKV.path,)
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert only(ready).at == ("blocks.{1..3}.attn.*",)


def test_a_pattern_without_matches_is_an_error(page, ready, drag, qtbot, settled):
    drop(page, "lora", QKV, drag)
    settings, field = page.inspector.settings, page.inspector.settings.targets
    field.selectAll()
    qtbot.keyClicks(field, "nowhere.*")
    assert settings.matches_label.text().startswith("No layer matches nowhere.*")
    assert field.property("wrong") is True
    qtbot.keyClick(field, Qt.Key.Key_Return)
    settled(ready)
    assert "No layer matches nowhere.*" in ready.status_bar.status
    assert "no matches" in page.inspector.rows["lora"].count_label.text()


def test_a_recipe_with_an_unknown_method_opens_with_an_error(ready, tmp_path, settled):
    path = tmp_path / "r.toml"
    path.write_text('schema = 1\n[[attachments]]\nname = "a"\nmethod = "unheard_of"\nat = ["blocks.*"]\nwidth = 3\n')
    ready.files.open_path(path)
    settled(ready)
    assert "unheard_of" in ready.status_bar.status
    assert only(ready).config == {"width": 3}
    assert ready.adapters.inspector.settings.title.text() == "a"


def test_an_unknown_backbone_is_an_error_and_leaves_no_tree(page, ready, settled):
    ready.workspace.set_value("backbone", {"name": "vit_of_oz", "source": "timm"})
    settled(ready)
    assert page.banner.message.startswith("There is no backbone 'vit_of_oz'")
    assert page.tree_panel.model.rowCount() == 0
    assert ready.status_bar.trainable.value.text() == "–"
    ready.undo()
    settled(ready)
    assert page.banner.message == ""
    assert page.tree_panel.model.rowCount() == 1


def test_backbones_are_found_as_the_name_is_typed_and_chosen(page, ready, qtbot, settled):
    page.palette_panel.choose_button.click()
    dialog = page.dialog
    qtbot.keyClicks(dialog.search, "vit_tiny_patch16_224.augreg_in21k_ft")
    qtbot.waitUntil(lambda: dialog.model.rowCount() == 1, timeout=30_000)
    dialog.random.click()
    dialog.accept_button.click()
    backbone = ready.workspace.recipe.backbone
    assert (backbone.source, backbone.pretrained) == ("timm", False)
    settled(ready)
    assert page.tree_panel.model.index_of(NodeRef("blocks.11.attn.qkv")).isValid()
    assert page.palette_panel.backbone_name.toolTip().startswith("vit_tiny_patch16_224")


@pytest.fixture
def dialog(page, qtbot):
    page.palette_panel.choose_button.click()
    qtbot.keyClicks(page.dialog.search, "vit_tiny_patch16_224.augreg_in21k_ft")
    qtbot.waitUntil(lambda: page.dialog.model.rowCount() == 1, timeout=30_000)
    yield page.dialog
    page.dialog.close()


def test_enter_in_the_search_chooses_the_backbone(dialog, ready, qtbot, settled):
    dialog.random.click()
    qtbot.keyClick(dialog.search, Qt.Key.Key_Return)
    assert not dialog.isVisible()
    assert ready.workspace.recipe.backbone.name.startswith("vit_tiny_patch16_224")
    settled(ready)


def test_another_file_clears_the_error_of_the_first(dialog):
    dialog.banner.show_message("This one does not fit.", "bad")
    dialog.use_file("other.safetensors")
    assert dialog.banner.message == ""


def test_a_checkpoint_of_other_shapes_is_rejected(dialog, ready, qtbot, tmp_path):
    import torch
    from safetensors.torch import save_file

    before = ready.workspace.recipe
    save_file({"patch_embed.proj.weight": torch.zeros(3, 3, 2, 2)}, tmp_path / "x.safetensors")
    dialog.use_file(str(tmp_path / "x.safetensors"))
    dialog.accept_button.click()
    qtbot.waitUntil(lambda: dialog.banner.property("tone") == "bad", timeout=30_000)
    assert "does not fit vit_tiny" in dialog.banner.message
    assert dialog.isVisible()
    assert ready.workspace.recipe == before


def test_a_pickle_is_rejected_without_being_opened(dialog, qtbot, tmp_path):
    import torch

    torch.save({"weight": torch.zeros(1)}, tmp_path / "x.pth")
    dialog.use_file(str(tmp_path / "x.pth"))
    dialog.accept_button.click()
    qtbot.waitUntil(lambda: dialog.banner.property("tone") == "bad", timeout=30_000)
    assert "pickle" in dialog.banner.message
    assert dialog.banner.message.count("\n") == 0


def test_the_page_shows_that_the_engine_is_loading(window):
    window.show_adapters()
    page = window.adapters
    assert page.palette_panel.stack.currentWidget() is page.palette_panel.loading
    assert window.status_bar.status == "Loading the engine…"
    assert METHOD_MIME in page.tree_panel.model.mimeTypes()
    assert page.tree_panel.tree.indexAt(QPoint(5, 5)).isValid() is False


def test_a_recipe_opened_before_the_engine_is_loaded_shows_its_settings_later(window, qtbot, settled):
    window.start(resource("recipes", "digits-lora.toml"))
    settings = window.adapters.inspector.settings
    assert settings.title.text() == "lora"
    settled(window)
    assert settings.title.text() == "LoRA: lora"
    assert settings._form.fields["rank"].value() == 8
    assert window.adapters.inspector.rows["lora"].title.text() == "LoRA r8"


def test_the_link_to_the_paper_has_the_color_of_the_theme(ready, settled):
    ready.workspace.attach("lora", (NodeRef("blocks.0.attn.qkv"),))
    settled(ready)
    before = ready.adapters.inspector.settings.paper_label.text()
    ready.dark()
    try:
        after = ready.adapters.inspector.settings.paper_label.text()
        assert theme().tokens.accent in after
        assert after != before
    finally:
        ready.light()


def test_tab_goes_from_left_to_right(page, ready, qtbot):
    activate(ready, qtbot)
    page.palette_panel.choose_button.setFocus()
    visited = []
    for _ in range(13):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        visited.append(QApplication.focusWidget())
    palette = [
        page.palette_panel.kind_switch.button_at(0),
        page.palette_panel.filter_edit,
        page.palette_panel.list_view,
        page.palette_panel.attach_button,
    ]
    rule = [
        page.tree_panel.bulk_attach_bar.method_box,
        page.tree_panel.bulk_attach_bar.pattern_edit,
        page.tree_panel.bulk_attach_bar.first_block,
        page.tree_panel.bulk_attach_bar.last_block,
        page.tree_panel.bulk_attach_bar.attach_button,
    ]
    stops = [*palette, page.tree_panel.filter_edit, *page.tree_panel.buttons, *rule]
    assert [stop for stop in visited if stop in stops] == stops
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    assert page.tree_panel.tree in (*visited, QApplication.focusWidget())


# another tree, and the filter


def backbone(window, name, settled):
    window.workspace.set_value("backbone", {"source": "timm", "name": name, "pretrained": False})
    settled(window)


def test_another_backbone_resets_the_hint_and_fits_the_columns(page, ready, settled):
    page.tree_panel.scroll_to_node(QKV)
    page.tree_panel.tree.setCurrentIndex(page.tree_panel.model.index_of(QKV))
    assert "of this kind" in page.tree_panel.hint.text()
    ready.resize(1400, 880)
    backbone(ready, "vit_giant_patch14_dinov2", settled)
    assert "Drag a method" in page.tree_panel.hint.text()
    assert page.tree_panel.model.highlight_same_kind(None) == 0
    number = QFontMetrics(small_font()).horizontalAdvance("1,136,494,602")
    assert page.tree_panel.tree.columnWidth(PARAMETERS) >= number + 12
    query = page.tree_panel.model.index_of(NodeRef(QKV.path, "q"))
    assert page.tree_panel.tree.visualRect(query).width() - 34 >= page.fontMetrics().horizontalAdvance("q (query)")


def test_a_resized_column_keeps_its_width_until_another_tree_is_shown(page, ready, settled):
    page.tree_panel.tree.header().resizeSection(NAME, 260)
    ready.resize(1200, 800)
    QApplication.processEvents()
    assert page.tree_panel.tree.columnWidth(NAME) == 260
    backbone(ready, "resnet18", settled)
    assert page.tree_panel.tree.columnWidth(NAME) != 260
    assert page.tree_panel.tree.isExpanded(page.tree_panel.model.index_of(NodeRef("layer1")))


def test_the_selection_in_a_filtered_tree_stays_without_the_filter(page):
    page.tree_panel.filter_edit.setText("fc2")
    page.tree_panel.tree.setCurrentIndex(page.tree_panel.model.index_of(NodeRef("blocks.3.mlp.fc2")))
    page.tree_panel.filter_edit.clear()
    assert page.tree_panel.tree.selected_refs() == (NodeRef("blocks.3.mlp.fc2"),)
    assert page.tree_panel.tree.visualRect(page.tree_panel.model.index_of(NodeRef("blocks.3.mlp.fc2"))).isValid()


def test_a_filter_without_matches_is_reported(page):
    page.tree_panel.filter_edit.setText("zzz")
    assert "zzz" in page.tree_panel.hint.text()
    page.tree_panel.filter_edit.clear()
    assert "zzz" not in page.tree_panel.hint.text()


# limits of the form


def field_of(window, method, name, settled):
    window.workspace.document.new()
    settled(window)
    window.workspace.attach(method, (NodeRef(),))
    settled(window)
    return window.adapters.inspector.settings.form.fields[name]


def test_the_rank_is_limited_to_that_of_the_weights(ready, settled):
    assert field_of(ready, "lora", "rank", settled).maximum() == 96
    backbone(ready, "vit_tiny_patch16_224", settled)
    assert ready.adapters.inspector.settings.form.fields["rank"].maximum() == 192
    assert field_of(ready, "adapter_drop", "skip", settled).maximum() == 5


def test_a_higher_rank_in_a_recipe_is_shown(ready, settled):
    high = Attachment(name="high", method="lora", at=("blocks.*.attn.qkv",), config={"rank": 500})
    ready.workspace.document.new(Recipe(attachments=(high,)))
    settled(ready)
    field = ready.adapters.inspector.settings.form.fields["rank"]
    assert (field.value(), only(ready).config["rank"]) == (500, 500)
    field.setValue(20)
    assert (field.maximum(), only(ready).config["rank"]) == (96, 20)


def test_steps_skip_unsupported_values_and_a_typed_one_is_rejected(page, ready, settled):
    field = field_of(ready, "compacter", "products", settled)
    field.stepBy(1)
    settled(ready)
    assert only(ready).config["products"] == 6
    field.setValue(7)
    assert (field.value(), only(ready).config["products"]) == (6, 6)
    assert "divisible" in page.tree_panel.hint.text()
    field.stepBy(1)
    assert only(ready).config["products"] == 8
    assert "divisible" not in page.tree_panel.hint.text()


def test_the_layer_scale_field_is_shown_only_for_layers_with_one(page, ready, settled):
    def asks():
        return page.inspector.settings.form.fields["layer_scale"].isVisible()

    field_of(ready, "houlsby", "bottleneck", settled)
    assert not asks()
    backbone(ready, "vit_giant_patch14_dinov2", settled)
    assert asks()
    backbone(ready, "beit_base_patch16_224", settled)
    assert asks()


def test_default_targets_are_offered_if_patterns_do_not_match_another_backbone(page, ready, settled):
    field_of(ready, "lora", "rank", settled).setValue(4)
    backbone(ready, "swin_tiny_patch4_window7_224", settled)
    settings = page.inspector.settings
    assert settings.default_targets_button.isVisible()
    settings.default_targets_button.click()
    settled(ready)
    assert only(ready).at == ("layers.*.blocks.*.attn.qkv",)
    assert (only(ready).slices, only(ready).config["rank"]) == (("q", "v"), 4)
    assert not settings.default_targets_button.isVisible()
    ready.undo()
    assert only(ready).at == ("blocks.*.attn.qkv",)


def test_the_adapters_of_a_fusion_are_chosen_in_the_form(page, ready, settled, tmp_path, monkeypatch):
    from studio.backbones.loading import load_backbone
    from studio.core.recipe import Backbone
    from studio.peft.adapter_file import save_adapter
    from studio.peft.attach import attach
    from studio.peft.contract import METHODS
    from studio.peft.target_builder import build_attachments

    adapters = build_attachments(
        METHODS.get("pfeiffer"), ready.workspace.engine.layers, [("", None)], config={"bottleneck": 4}
    )
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_adapter(attach(load_backbone(Backbone(), 10), adapters), adapters, tmp_path / name, "", {})
    field = field_of(ready, "fusion", "adapters", settled)
    assert "at least two adapters" in page.banner.message
    assert not page.inspector.settings.form.fields["layouts"].isVisible()
    for name in ("a", "b"):
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, name=name: str(tmp_path / name))
        field.choose_folder()
        settled(ready)
    assert list(only(ready).config["adapters"]) == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert page.banner.message == ""
    assert ready.workspace.engine.last_counts.parameter_counts is not None
    field.setText(str(tmp_path / "nothing"))
    field.editingFinished.emit()
    assert len(only(ready).config["adapters"]) == 2
    assert "is not an adapter" in page.tree_panel.hint.text()


def test_a_rebuilt_page_looks_like_the_old_one(page, ready, settled, qtbot):
    ready.workspace.attach("lora", (NodeRef(),))
    ready.workspace.attach("ssf", (QKV,))
    settled(ready)
    page.compare_bar.compare(Recipe(), "empty")
    page.tree_panel.filter_edit.setText("norm")
    page.tree_panel.filter_edit.clear()
    page.tree_panel.scroll_to_node(NodeRef("blocks.4.mlp.fc1"))
    page.tree_panel.tree.setCurrentIndex(page.tree_panel.model.index_of(NodeRef("blocks.4.mlp.fc1")))
    page.inspector.select("lora")
    page.palette_panel.kind_switch.button_at(1).click()
    page.palette_panel.filter_edit.setText("bit")
    page.tree_panel.bulk_attach_bar.pattern_edit.setText("attn.qkv")
    page.tree_panel.bulk_attach_bar.first_block.setValue(2)
    rebuilt = AdaptersPage(ready.workspace)
    qtbot.addWidget(rebuilt)
    rebuilt.resize(page.size())
    rebuilt.show()
    rebuilt.refresh()
    rebuilt.restore_view_state(page.view_state())
    assert rebuilt.palette_panel.model.rowCount() == 1
    assert rebuilt.inspector.selected_names == ("lora",)
    assert rebuilt.tree_panel.bulk_attach_bar.result_label.text().startswith("Matches 4 layers")
    assert rebuilt.compare_bar.summary.text() == page.compare_bar.summary.text()
    before, after = page.view_state(), rebuilt.view_state()
    assert set(before["tree"].pop("expanded")) == set(after["tree"].pop("expanded"))
    assert after == before


def test_a_deleted_page_does_not_listen_to_the_services(page, ready, settled, qtbot):
    deleted = AdaptersPage(ready.workspace)
    deleted.choose_backbone()
    deleted.dialog.reject()
    delete(deleted)
    with qtbot.captureExceptions() as errors:
        ready.workspace.attach("lora", (QKV,))
        ready.workspace.engine.load_failed.emit("failed")
        ready.workspace.engine.loaded.emit()
        settled(ready)
    assert errors == []
