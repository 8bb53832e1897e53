"""The method guide: what each method costs and brings, measured by ``packaging/guide/measure.py``, and when to use it.

The figures are of the sample images and the starter backbone: they rank methods and promise nothing elsewhere.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from studio.core import paths

GUIDE_FILE = ("guide", "methods.json")


@dataclass(frozen=True, slots=True)
class MethodStats:
    """One method measured.

    ``step_ratio`` is a training step in units of one of full fine-tuning; the latencies are in units of the bare
    backbone's, ``latency_merged`` None where it does not merge. ``switch_ms`` is what changing to another task takes.
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
        """Some lines for a person."""
        merged = "does not merge" if self.latency_merged is None else f"{self.latency_merged:.2f} times merged"
        return (
            f"measured     {self.parameters:,} parameters ({self.percent:g} %), accuracy {self.accuracy:.1%}\n"
            f"training     a step takes {self.step_ratio:.2f} times that of full fine-tuning\n"
            f"inference    {self.latency_attached:.2f} times the backbone attached, {merged}"
        )


@dataclass(frozen=True, slots=True)
class GuideEntry:
    """A method in the guide; ``stats`` is None where it was not measured, as with a plugin's."""

    name: str
    label: str
    family: str
    when_to_use: str
    stats: MethodStats | None

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def guide_entries() -> list[GuideEntry]:
    """Every method, in the order of the palette."""
    from studio.peft.contract import methods_by_family

    return [GuideEntry(m.name, m.label, m.family, m.when_to_use, method_stats(m.name)) for m in methods_by_family()]


def method_stats(method: str) -> MethodStats | None:
    """What was measured of a method; None where nothing was."""
    raw = load_guide()["methods"].get(method)
    return MethodStats(**{**raw, "exports": tuple(raw["exports"])}) if raw else None


@cache
def load_guide() -> dict[str, Any]:
    """The whole file: date, versions and conditions too."""
    return dict(json.loads(paths.resource(*GUIDE_FILE).read_text(encoding="utf-8")))
