"""Method guide."""

import json

import pytest
from PySide6.QtCore import Qt

from studio.ui.pages.guide import guide_model
from studio.ui.pages.guide.page import GuidePage
from studio.ui.services.workspace import Workspace
from studio.ui.widgets.components import IconButton

LONG = 60_000
FIGURES = {
    "measured": "2026-01-02",
    "backbone": "starter",
    "images_per_class": 100,
    "validation_fraction": 0.4,
    "epochs": 3,
    "methods": {
        "lora": {
            "parameters": 1234,
            "percent": 0.5,
            "accuracy": 0.875,
            "step_ratio": 0.7,
            "latency_attached": 1.21,
            "latency_merged": 1.0,
            "adapter_bytes": 5000,
        }
    },
}


@pytest.fixture
def page(qtbot, qapp, tmp_path, monkeypatch):
    """Return the page alone, with measurements of one method."""
    (tmp_path / "guide").mkdir()
    (tmp_path / "guide" / "methods.json").write_text(json.dumps(FIGURES))
    monkeypatch.setattr(guide_model, "resource", lambda *parts: tmp_path.joinpath(*parts))
    workspace = Workspace()
    made = GuidePage(workspace)
    made.resize(1200, 700)
    made.show()
    qtbot.waitUntil(lambda: bool(made.model.rows), timeout=LONG)
    yield made
    made.hide()
    workspace.close()
    made.deleteLater()


def test_every_method_is_listed_with_its_measurements(page, qtbot):
    from studio.peft.contract import METHODS

    assert {row.name for row in page.model.rows} == {method.name for method in METHODS}
    rows = {row.name: page.model.cells(row) for row in page.model.rows}
    assert rows["lora"] == ("LoRA", "1,234  (0.50 %)", "87.5 %", "× 0.70", "× 1.21", "× 1.00", "5 kB")
    assert rows["pfeiffer"][1:] == ("–", "–", "–", "–", "not mergeable", "–")
    assert "2026-01-02" in page.conditions.text()
    assert "100 sample digits of each class, 40 % of them" in page.conditions.text()
    assert {row.family for row in page.model.rows} == set(guide_model.FAMILY_ADVICE)


def test_the_selected_method_is_described(page, qtbot):
    from studio.peft.contract import METHODS

    page.show_method("lora")
    assert page.name.text() == "LoRA"
    assert page.advice_banner.message == METHODS.get("lora").info.when_to_use
    assert "merged" in page.exports.text()
    assert page.paper.isVisible()
    row = next(i for i, row in enumerate(page.model.rows) if row.name == "prefix")
    page.table.scrollTo(page.model.index(row, 0))
    cell = page.table.visualRect(page.model.index(row, 0))
    qtbot.mouseClick(page.table.viewport(), Qt.MouseButton.LeftButton, pos=cell.center())
    assert page.name.text() == "Prefix Tuning"
    assert page.merging.text() == METHODS.get("prefix").not_mergeable_reason


def test_the_selected_method_survives_a_rebuild_of_the_page(page, qtbot):
    page.workspace.chosen_method = "lora"
    page.show_method("ssf")
    rebuilt = GuidePage(page.workspace)
    qtbot.addWidget(rebuilt)
    rebuilt.restore_view_state(page.view_state())
    rebuilt.show()
    qtbot.waitUntil(lambda: bool(rebuilt.model.rows), timeout=LONG)
    assert rebuilt.view_state()["method"] == "ssf"
    assert rebuilt.name.text() == page.name.text()
    rebuilt.hide()
    rebuilt.show()
    assert rebuilt.view_state()["method"] == "lora"


def test_without_measurements_there_are_no_conditions(monkeypatch, tmp_path):
    monkeypatch.setattr(guide_model, "resource", lambda *parts: tmp_path.joinpath(*parts))
    guide = guide_model.read_guide()
    assert guide.conditions == ""
    assert all(row.accuracy is None for row in guide.rows)


def test_the_palette_opens_the_guide_at_the_selected_method(ready, qtbot):
    palette = ready.adapters.palette_panel
    palette.list_view.setCurrentIndex(palette.model.index(palette.model.row_of("ssf"), 0))
    button = next(b for b in palette.findChildren(IconButton) if b.toolTip() == "Method guide")
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert ready.pages.current_page is ready.guide
    qtbot.waitUntil(lambda: bool(ready.guide.model.rows), timeout=LONG)
    assert ready.guide.name.text() == ready.workspace.engine.method("ssf").label
