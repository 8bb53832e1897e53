"""Methods and presets as the rows of a list."""

from dataclasses import dataclass

from studio.app.presets import Preset, presets
from studio.ui.services.drag_payload import DragPayload


@dataclass(frozen=True, slots=True)
class MethodRow:
    """A method or preset as the palette shows it. ``diagram`` names the drawing of its place in a block."""

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
        """The preset or name of the method that the row attaches."""
        return self.preset or self.name


def preset_rows() -> tuple[MethodRow, ...]:
    """Return the presets as rows."""
    return tuple(MethodRow(f"preset:{p.name}", p.label, "", p.summary, "", "", preset=p) for p in presets())
