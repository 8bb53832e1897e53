"""The catalogue of backbones as a table."""

from typing import TYPE_CHECKING

from studio.ui.language import tr
from studio.ui.models.table import Table

if TYPE_CHECKING:
    from studio.backbones.catalogue import Entry


class Backbones(Table["Entry"]):
    """Entries in the catalogue's order."""

    columns = ("Name", "Input", "Weights", "Licence of the weights")

    def cells(self, row: "Entry") -> tuple[str, ...]:
        """Name, size of its images, where the weights are, and their licence."""
        height, width = row.input_size
        return row.name, f"{height} × {width}" if height else tr("any"), _where(row), tr(row.licence)

    def tool_tip(self, row: "Entry") -> str:
        """The whole name, which a narrow column may cut."""
        return tr("{name}: {where}, licence {licence}", name=row.name, where=_where(row), licence=tr(row.licence))


def _where(entry: "Entry") -> str:
    if entry.source == "bundled":
        return tr("comes with the program")
    return tr("on this machine") if entry.available else tr("to be fetched")
