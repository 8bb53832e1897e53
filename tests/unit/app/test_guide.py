"""The guide knows every method, from measurements alone."""

import dataclasses

from studio.app import method_guide
from studio.app.method_info import describe
from studio.peft import METHODS


def test_every_method_is_measured_and_says_when_to_use_it() -> None:
    assert {row.name for row in method_guide.rows()} == {method.name for method in METHODS}
    assert set(method_guide.measured()["methods"]) == {method.name for method in METHODS}
    fields = {field.name for field in dataclasses.fields(method_guide.Figures)}
    for row in method_guide.rows():
        assert row.when.endswith(".")
        assert row.figures is not None
        assert set(method_guide.measured()["methods"][row.name]) == fields
        assert row.figures.mergeable == (not METHODS.get(row.name).merge_refusal)
        assert (row.figures.latency_merged is None) != row.figures.mergeable


def test_it_says_what_the_figures_hold_for() -> None:
    found = method_guide.measured()
    assert {"torch", "timm", "peft-studio"} <= set(found["versions"])
    assert found["measured"]
    assert "parameters" in describe("lora").as_text()
    assert METHODS.get("lora").when in describe("lora").as_text()
