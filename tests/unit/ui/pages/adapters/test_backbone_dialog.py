"""Choosing a backbone: the catalog as a table, its filters, license warnings, and downloads from a hub."""

import pytest
from PySide6.QtCore import Qt

from studio.backbones import weights
from studio.backbones.catalog import CatalogEntry
from studio.ui.pages.adapters.backbone_model import (
    LICENSE,
    NAME,
    OPERATIONS,
    PARAMETERS,
    WEIGHTS,
    BackboneFilter,
    BackboneModel,
)
from tests.unit.conftest import REMOTE

ENTRIES = (
    CatalogEntry("starter", "bundled", (32, 32), "mit", True, "vision transformer", 683_050, None),
    CatalogEntry(
        "big.a", "timm", (224, 224), "cc-by-nc-4.0", False, "convnext", 88_000_000, 30_000_000_000, "timm/big.a"
    ),
    CatalogEntry("small.b", "timm", (96, 96), "apache-2.0", True, "resnet", 11_000_000, 3_600_000_000, "timm/small.b"),
    CatalogEntry("odd.c", "timm", (0, 0), "not stated", False, "odd", None, None, ""),
)


@pytest.fixture
def model(qapp, check_model):
    made = BackboneModel()
    check_model(made)
    made.show_entries(ENTRIES)
    return made


def column(model, number):
    return [model.index(row, number).data() for row in range(model.rowCount())]


def test_unknown_values_are_marked(model):
    assert column(model, PARAMETERS) == ["683k", "88M", "11M", "?"]
    assert column(model, OPERATIONS) == ["?", "30", "3.6", "?"]
    assert column(model, LICENSE) == ["mit", "cc-by-nc-4.0, non-commercial", "apache-2.0", "not stated"]
    assert column(model, WEIGHTS) == [
        "included",
        "download, 352 MB",
        "downloaded",
        "not on the hub",
    ]


def test_only_a_non_commercial_license_has_an_icon(model):
    signs = [model.index(row, LICENSE).data(Qt.ItemDataRole.DecorationRole) for row in range(4)]
    assert [sign is not None for sign in signs] == [False, True, False, False]


@pytest.mark.parametrize(
    ("number", "order", "names"),
    [
        (PARAMETERS, Qt.SortOrder.AscendingOrder, ["starter", "small.b", "big.a", "odd.c"]),
        (PARAMETERS, Qt.SortOrder.DescendingOrder, ["odd.c", "big.a", "small.b", "starter"]),
        (WEIGHTS, Qt.SortOrder.AscendingOrder, ["starter", "small.b", "big.a", "odd.c"]),
        (-1, Qt.SortOrder.AscendingOrder, ["starter", "big.a", "small.b", "odd.c"]),
    ],
)
def test_the_table_sorts_by_a_column_and_back(model, number, order, names):
    model.sort(NAME)
    model.sort(number, order)
    assert column(model, NAME) == names


@pytest.mark.parametrize(
    ("wish", "names"),
    [
        (BackboneFilter(), ["starter", "big.a", "small.b", "odd.c"]),
        (BackboneFilter(downloaded=True), ["starter", "small.b"]),
        (BackboneFilter(commercial_use=True), ["starter", "small.b"]),
        (BackboneFilter(max_parameters=30_000_000), ["starter", "small.b"]),
        (BackboneFilter(downloaded=True, max_parameters=1_000_000), ["starter"]),
    ],
)
def test_filters_select_entries(wish, names):
    assert [entry.name for entry in ENTRIES if wish.accepts(entry)] == names


@pytest.fixture
def dialog(ready, qtbot):
    ready.adapters.choose_backbone()
    made = ready.adapters.dialog
    qtbot.waitUntil(lambda: made.model.rowCount() > 1000, timeout=30_000)
    yield made
    made.reject()


def find(dialog, qtbot, words):
    dialog.search.setText(words)
    qtbot.waitUntil(
        lambda: dialog.selected_entry is not None and dialog.selected_entry.name.startswith(words), timeout=10_000
    )


def test_the_dialog_starts_with_recommended_backbones(dialog):
    names = [row.name for row in dialog.model.rows[:12]]
    assert names[0] == "starter"
    assert "resnet50.a1_in1k" in names
    assert dialog.selected_entry.name == "starter"
    assert dialog.accept_button.text() == "Use this backbone"
    assert not dialog.later_button.isVisible()


def test_a_license_warning_is_shown_before_use(dialog, qtbot):
    find(dialog, qtbot, "convnextv2_tiny.fcmae_ft_in1k")
    assert "(cc-by-nc-4.0) forbids commercial use" in dialog.license_notice.message
    dialog.random.setChecked(True)
    assert not dialog.license_notice.isVisible()


def test_filters_narrow_the_list(dialog):
    dialog.size_filter.setCurrentIndex(1)
    assert 0 < dialog.model.rowCount() < 500
    assert all(row.parameters <= 10_000_000 for row in dialog.model.rows)
    dialog.license_filter.setCurrentIndex(1)
    assert not any(row.non_commercial or row.license == "not stated" for row in dialog.model.rows)
    dialog.downloaded_only.setChecked(True)
    assert all(row.available for row in dialog.model.rows)


def test_a_backbone_is_downloaded_and_used(hub, dialog, qtbot, ready):
    hub.pause = 0.005
    find(dialog, qtbot, REMOTE)
    chosen, seen = [], []
    dialog.chosen.connect(chosen.append)
    ready.workspace.downloads.progressed.connect(lambda now: seen.append(dialog.download_bar.progress_label.text()))
    assert dialog.accept_button.text() == "Download and use"
    dialog.accept_button.click()
    assert dialog.download_bar.isVisible()
    assert not dialog.accept_button.isEnabled()
    qtbot.waitUntil(lambda: bool(chosen), timeout=20_000)
    assert chosen[0].name == REMOTE
    assert chosen[0].source == "timm"
    assert weights.cached_file(f"timm/{REMOTE}") is not None
    assert any(" of 1.5 MB" in words and "/s" in words for words in seen)
    assert not dialog.isVisible()


def test_a_canceled_download_leaves_no_file_and_can_be_started_again(hub, dialog, qtbot, ready):
    hub.pause = 0.05
    find(dialog, qtbot, REMOTE)
    chosen = []
    dialog.chosen.connect(chosen.append)
    dialog.accept_button.click()
    qtbot.waitUntil(lambda: dialog.download_bar.bar.value() > 0, timeout=10_000)
    dialog.download_bar.cancel_button.click()
    assert not dialog.download_bar.isVisible()
    assert dialog.accept_button.isEnabled()
    qtbot.waitUntil(lambda: not ready.workspace.downloads._worker.busy, timeout=10_000)
    assert weights.cached_file(f"timm/{REMOTE}") is None
    assert not chosen
    hub.pause = 0
    dialog.accept_button.click()
    qtbot.waitUntil(lambda: bool(chosen), timeout=20_000)
    assert weights.cached_file(f"timm/{REMOTE}") is not None


def test_a_missing_network_is_an_error_and_the_dialog_stays(hub, dialog, qtbot, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    find(dialog, qtbot, REMOTE)
    dialog.accept_button.click()
    qtbot.waitUntil(lambda: bool(dialog.banner.message), timeout=5_000)
    assert "HF_HUB_OFFLINE" in dialog.banner.message
    assert dialog.accept_button.isEnabled()
    dialog.banner.buttons[0].click()  # shows downloaded backbones only
    qtbot.waitUntil(lambda: dialog.selected_entry is not None and dialog.selected_entry.available)
    dialog.downloaded_only.setChecked(False)
    find(dialog, qtbot, REMOTE)
    chosen = []
    dialog.chosen.connect(chosen.append)
    dialog.later_button.click()
    assert chosen[0].name == REMOTE


def test_a_reopened_dialog_has_no_message_of_the_last_checkpoint(remote_weights, dialog, qtbot, ready, tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(remote_weights)
    find(dialog, qtbot, REMOTE)
    dialog.use_file(str(tmp_path / "mine.safetensors"))
    dialog.accept_button.click()
    qtbot.waitUntil(lambda: not dialog.isVisible(), timeout=20_000)
    ready.adapters.choose_backbone()
    assert not dialog.banner.message
    assert dialog.accept_button.isEnabled()


def test_closing_the_window_cancels_a_download(hub, dialog, qtbot, ready):
    hub.pause = 0.2
    find(dialog, qtbot, REMOTE)
    dialog.accept_button.click()
    qtbot.waitUntil(lambda: ready.workspace.downloads.busy, timeout=5_000)
    dialog.reject()
    assert not ready.workspace.downloads.busy


def test_a_typo_in_the_search_is_corrected_and_reported(dialog, qtbot):
    dialog.search.setText("resent50")
    qtbot.waitUntil(lambda: dialog.result_label.text().startswith("No matches for resent50. Showing "))
    assert dialog.selected_entry.name == "resnet50.a1_in1k"
    dialog.search.setText("zzzz")
    qtbot.waitUntil(lambda: not dialog.model.rowCount())
    assert dialog.result_label.text() == "No matching backbones."
    dialog.search.setText("efficientnet_b0")
    dialog.downloaded_only.setChecked(True)
    qtbot.waitUntil(lambda: dialog.result_label.text().endswith("with these filters."))


def test_headers_are_aligned_like_their_cells(model):
    role = Qt.ItemDataRole.TextAlignmentRole
    for column_number in (NAME, PARAMETERS, OPERATIONS, LICENSE):
        header = model.headerData(column_number, Qt.Orientation.Horizontal, role)
        assert header == model.index(0, column_number).data(role)
