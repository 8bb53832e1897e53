"""The methods with what was measured of them, as a table."""

import json
from dataclasses import dataclass
from typing import Any

from studio.core.paths import resource
from studio.ui.i18n.language import tr
from studio.ui.style.formatting import format_bytes, format_count, format_percent
from studio.ui.widgets.table_model import RowTableModel

FAMILY_ADVICE = {
    "low rank": "A good first choice: few parameters, and merged it costs nothing when it predicts.",
    "scaling": "The least to train and to keep. For tasks that are near to what the backbone has learnt.",
    "bottleneck": "For several tasks on one backbone, each its own small file. Costs a little at each prediction.",
    "tokens": "Leaves every weight alone. For transformers and few images; longer inputs cost time.",
    "whole weights": "For tasks far from what the backbone has learnt, and many images; the head alone is the least.",
    "composition": "For adapters that are trained already, to be used together on a new task.",
}
"""When to take a method of each family."""


@dataclass(frozen=True, slots=True)
class GuideRow:
    """One method. Shares are in [0, 1], costs in units of the bare backbone's; None where nothing was measured."""

    name: str
    label: str
    family: str
    summary: str
    paper: str
    advice: str
    not_mergeable_reason: str
    parameters: int | None = None
    share: float | None = None
    accuracy: float | None = None
    step: float | None = None
    latency: float | None = None
    latency_merged: float | None = None
    adapter_bytes: int | None = None
    exports: tuple[str, ...] = ()


class GuideModel(RowTableModel[GuideRow]):
    """Methods by family."""

    columns = ("Method", "Trainable", "Accuracy", "A training step", "A prediction", "Merged", "Adapter")

    def cells(self, row: GuideRow) -> tuple[str, ...]:
        """What it weighs, how good it was, and what it costs."""
        parameters = "–" if row.parameters is None else format_count(row.parameters)
        merged = tr("does not merge") if row.not_mergeable_reason else _ratio_text(row.latency_merged)
        return (
            tr(row.label),
            parameters if row.share is None else f"{parameters}  ({format_percent(row.share, 2)})",
            "–" if row.accuracy is None else format_percent(row.accuracy),
            _ratio_text(row.step),
            _ratio_text(row.latency),
            merged,
            "–" if row.adapter_bytes is None else format_bytes(row.adapter_bytes),
        )

    def tool_tip(self, row: GuideRow) -> str:
        """What it does."""
        return tr(row.summary)

    def key(self, row: GuideRow) -> str:
        """Its name."""
        return row.name


def _ratio_text(value: float | None) -> str:
    return "–" if value is None else f"× {value:.2f}"


@dataclass(frozen=True, slots=True)
class Guide:
    """The methods in the order of the palette; ``conditions`` says when and on what, empty where nothing was."""

    rows: tuple[GuideRow, ...]
    conditions: str


def read_guide() -> Guide:
    """What the methods say of themselves, with the figures in ``resources/guide``. Imports the engine."""
    from studio.app.method_info import describe_methods

    found = _load_measurements()
    rows = []
    for method in describe_methods():
        figures: dict[str, Any] = found.get("methods", {}).get(method.name, {})
        share = figures.get("percent")
        rows.append(
            GuideRow(
                name=method.name,
                label=method.label,
                family=method.family,
                summary=method.summary,
                paper=method.paper,
                advice=method.when_to_use,
                not_mergeable_reason=method.not_mergeable_reason,
                parameters=figures.get("parameters"),
                share=None if share is None else share / 100,
                accuracy=figures.get("accuracy"),
                step=figures.get("step_ratio"),
                latency=figures.get("latency_attached"),
                latency_merged=figures.get("latency_merged"),
                adapter_bytes=figures.get("adapter_bytes"),
                exports=method.exports,
            )
        )
    return Guide(tuple(rows), _conditions_text(found) if found else "")


def _load_measurements() -> dict[str, Any]:
    """The file of figures; empty where it is not there."""
    try:
        return dict(json.loads(resource("guide", "methods.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _conditions_text(measurements: dict[str, Any]) -> str:
    return tr(
        "Measured on {date} with the backbone {backbone}: {data}; {epochs} epochs. A training step is in units of one "
        "of full fine-tuning, a prediction in units of the bare backbone's.",
        date=measurements.get("measured", ""),
        backbone=measurements.get("backbone", ""),
        data=measurements.get("data", ""),
        epochs=measurements.get("epochs", ""),
    )
