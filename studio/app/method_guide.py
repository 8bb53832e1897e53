"""The method guide: measured cost and accuracy of each method, and when to use it.

``packaging/guide/measure.py`` measured them on the sample images with the starter backbone: they rank methods, and do
not predict accuracy on other images.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from studio.core import paths

GUIDE_FILE = ("guide", "methods.json")


@dataclass(frozen=True, slots=True)
class MethodStats:
    """The measurements of one method.

    ``step_ratio`` is the time of a training step relative to full fine-tuning; the latencies are relative to the
    backbone alone, ``latency_merged`` is None if it does not merge. ``switch_ms`` is the time to switch the task.
    """

    parameters: int
    percent: float
    accuracy: float
    learning_rate: float
    step_ratio: float
    latency_attached: float
    latency_merged: float | None
    adapter_bytes: int
    switch_ms: float
    mergeable: bool
    exports: tuple[str, ...]

    def as_text(self) -> str:
        """Return three lines of text."""
        merged = "does not merge" if self.latency_merged is None else f"{self.latency_merged:.2f}x merged"
        return (
            f"measured     {self.parameters:,} parameters ({self.percent:g} %), accuracy {self.accuracy:.1%}\n"
            f"training     {self.step_ratio:.2f}x the step time of full fine-tuning\n"
            f"inference    {self.latency_attached:.2f}x the latency of the backbone attached, {merged}"
        )


@dataclass(frozen=True, slots=True)
class GuideEntry:
    """A method in the guide; ``stats`` is None if it was not measured."""

    name: str
    label: str
    family: str
    when_to_use: str
    stats: MethodStats | None

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def guide_entries() -> list[GuideEntry]:
    """Return every method, in the order of the palette."""
    from studio.peft.contract import methods_by_family

    methods = methods_by_family()
    return [GuideEntry(m.name, m.label, m.family, m.info.when_to_use, method_stats(m.name)) for m in methods]


def method_stats(method: str) -> MethodStats | None:
    """Return the measurements of a method; None if there are none."""
    raw = load_guide()["methods"].get(method)
    return MethodStats(**{**raw, "exports": tuple(raw["exports"])}) if raw else None


@cache
def load_guide() -> dict[str, Any]:
    """Return the whole file, with date, versions and conditions."""
    return dict(json.loads(paths.resource(*GUIDE_FILE).read_text(encoding="utf-8")))
