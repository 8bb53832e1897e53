"""The method guide: measurements of every method."""

import dataclasses

from studio.app import method_guide
from studio.app.method_info import describe_method
from studio.cli.methods_text import method_parts
from studio.cli.tables import plain_text
from studio.peft import METHODS


def test_every_method_is_measured_and_says_when_to_use_it() -> None:
    assert {row.name for row in method_guide.guide_entries()} == {method.name for method in METHODS}
    assert set(method_guide.load_guide()["methods"]) == {method.name for method in METHODS}
    fields = {field.name for field in dataclasses.fields(method_guide.MethodStats)}
    for row in method_guide.guide_entries():
        assert row.when_to_use.endswith(".")
        assert row.stats is not None
        assert set(method_guide.load_guide()["methods"][row.name]) == fields
        assert row.stats.mergeable == (not METHODS.get(row.name).not_mergeable_reason)
        assert (row.stats.latency_merged is None) != row.stats.mergeable


def test_the_guide_lists_its_conditions() -> None:
    found = method_guide.load_guide()
    assert {"torch", "timm", "peft-studio"} <= set(found["versions"])
    assert found["measured"]
    page = plain_text(*method_parts(describe_method("lora")))
    assert "parameters" in page
    assert METHODS.get("lora").info.when_to_use in page
