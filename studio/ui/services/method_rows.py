"""Methods and presets as the rows of a list."""

from dataclasses import dataclass

from studio.app.presets import Preset, presets
from studio.ui.services.drag_payload import DragPayload


@dataclass(frozen=True, slots=True)
class MethodRow:
    """What the palette shows of a method or of a preset. ``sits`` tells where in a block the module is drawn."""

    name: str
    label: str
    family: str
    summary: str
    paper: str
    not_mergeable_reason: str
    diagram: str = ""
    preset: Preset | None = None

    @property
    def payload(self) -> DragPayload:
        """What is attached when the row is put down."""
        return self.preset or self.name


def preset_rows() -> tuple[MethodRow, ...]:
    """The presets as rows."""
    return tuple(MethodRow(f"preset:{p.name}", p.label, "", p.summary, "", "", preset=p) for p in presets())
