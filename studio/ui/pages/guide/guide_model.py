"""Table model of the methods and their measurements."""

import json
from dataclasses import dataclass
from typing import Any

from studio.core.messages import N_, Message
from studio.core.paths import resource
from studio.ui.i18n.language import localized, tr
from studio.ui.style.formatting import format_bytes, format_count, format_percent
from studio.ui.widgets.table_model import RowTableModel

FAMILY_ADVICE: dict[str, Message] = {
    "low rank": N_("A good first choice: few parameters, and no inference cost once merged."),
    "scaling": N_("Fewest parameters to train and store, for tasks close to the pretraining data."),
    "bottleneck": N_("One small file per task on a shared backbone, with a small inference cost."),
    "tokens": N_("Changes no weights. For transformers and few images; longer inputs cost time."),
    "selective": N_("For many images far from the pretraining data; training only the head is cheapest."),
    "composition": N_("Combines adapters that are already trained for a new task."),
}
"""When to use a method, by family."""
_FAMILY_TITLES: dict[str, Message] = {
    "low rank": N_("low rank"),
    "scaling": N_("scaling"),
    "bottleneck": N_("bottleneck"),
    "tokens": N_("tokens"),
    "selective": N_("selective"),
    "composition": N_("composition"),
}


def family_title(family: str) -> str:
    """Return the translated title of ``family``; a plugin's own family has its name."""
    title = localized(_FAMILY_TITLES.get(family, family))
    return title[:1].upper() + title[1:]


@dataclass(frozen=True, slots=True)
class GuideRow:
    """A method and its measurements.

    Shares are in [0, 1], costs are relative to the bare backbone; None if not measured.
    """

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

    columns = (
        N_("Method"),
        N_("Trainable"),
        N_("Accuracy"),
        N_("Training step"),
        N_("Prediction"),
        N_("Merged"),
        N_("Adapter"),
    )

    def cells(self, row: GuideRow) -> tuple[str, ...]:
        """Return parameters, accuracy and costs of the method."""
        parameters = "–" if row.parameters is None else format_count(row.parameters)
        merged = tr("not mergeable") if row.not_mergeable_reason else _ratio_text(row.latency_merged)
        return (
            localized(row.label),
            parameters if row.share is None else f"{parameters}  ({format_percent(row.share, 2)})",
            "–" if row.accuracy is None else format_percent(row.accuracy),
            _ratio_text(row.step),
            _ratio_text(row.latency),
            merged,
            "–" if row.adapter_bytes is None else format_bytes(row.adapter_bytes),
        )

    def tool_tip(self, row: GuideRow) -> str:
        """Return the summary of the method."""
        return localized(row.summary)

    def key(self, row: GuideRow) -> str:
        """Return the name of the method."""
        return row.name


def _ratio_text(value: float | None) -> str:
    return "–" if value is None else f"× {value:.2f}"


@dataclass(frozen=True, slots=True)
class Guide:
    """Methods in palette order, and the ``conditions`` of measurement, if any."""

    rows: tuple[GuideRow, ...]
    conditions: str


def read_guide() -> Guide:
    """Return all methods with their measurements; imports the engine."""
    from studio.app.method_info import describe_methods

    measurements = _load_measurements()
    rows = []
    for method in describe_methods():
        figures: dict[str, Any] = measurements.get("methods", {}).get(method.name, {})
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
    return Guide(tuple(rows), _conditions_text(measurements) if measurements else "")


def _load_measurements() -> dict[str, Any]:
    """Return the measurements on disk; empty without a file."""
    try:
        return dict(json.loads(resource("guide", "methods.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _conditions_text(measurements: dict[str, Any]) -> str:
    return tr(
        "Measured on {date} with {backbone}: {images} sample digits of each class, {share} of them for validation; "
        "{epochs} epochs. Training steps are relative to full fine-tuning, predictions to the bare backbone.",
        date=measurements.get("measured", ""),
        backbone=measurements.get("backbone", ""),
        images=measurements.get("images_per_class", ""),
        share=format_percent(measurements.get("validation_fraction", 0.0), 0),
        epochs=measurements.get("epochs", ""),
    )
