"""The tables of the page that compares runs."""

from typing import Any

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPixmap

from studio.app.comparison.comparison_view import Choice, Compared
from studio.app.comparison.seed_groups import Group
from studio.ui.i18n.language import tr
from studio.ui.style.formatting import count, duration, percent, size
from studio.ui.style.theme import colour
from studio.ui.widgets.checkable_model import TickTable
from studio.ui.widgets.table_model import Table

TINTS = ("accent", "adapter", "second", "head", "good", "bad", "frozen", "faint")
"""The colours of the groups in turn; their numbers tell the rest apart."""


def tint(group: Group) -> str:
    """The colour of a group, by theme token."""
    return TINTS[(group.number - 1) % len(TINTS)]


class ChoiceTable(TickTable[Choice]):
    """Runs to tick."""

    columns = ("Run", "Accuracy")

    def cells(self, row: Choice) -> tuple[str, str]:
        """Its name, and how good it has been."""
        return row.name, percent(row.accuracy) if row.accuracy is not None else tr(row.state)

    def tool_tip(self, row: Choice) -> str:
        """Where it lies and what it trains."""
        return f"{row.path}\n{row.methods}"

    def key(self, row: Choice) -> str:
        """Its folder."""
        return str(row.path)


class GroupTable(Table[Group]):
    """Recipes with what came out, seeds taken together."""

    columns = ("", "Method", "Trainable", "Accuracy", "Against baseline", "Runs", "Time", "Memory", "Adapter")

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.compared: Compared | None = None

    def show_compared(self, compared: Compared) -> None:
        """Replace the table."""
        self.compared = compared
        self.show_rows(compared.report.groups)

    def cells(self, row: Group) -> tuple[str, ...]:
        """Figures that no run has reached are a dash."""
        assert self.compared is not None
        interval = f" ± {100 * row.interval:.1f}" if row.interval is not None else ""
        accuracy = f"{100 * row.accuracy:.1f}{interval} %" if row.accuracy is not None else "–"
        gain = self.compared.gain(row)
        return (
            str(row.number),
            row.label + ("  ★" if row in self.compared.report.front else ""),
            count(row.parameters) if row.parameters is not None else "–",
            accuracy,
            tr("{points:+.1f} points", points=100 * gain) if gain is not None else "–",
            str(len(row.runs)),
            duration(row.seconds) if row.seconds is not None else "–",
            size(row.memory_bytes) if row.memory_bytes is not None else "–",
            size(row.adapter_bytes) if row.adapter_bytes is not None else "–",
        )

    def tool_tip(self, row: Group) -> str:
        """The attachments in full, and the runs."""
        return "\n".join((row.attachments, *(run.run for run in row.runs)))

    def key(self, row: Group) -> object:
        """Its runs."""
        return tuple(run.run for run in row.runs)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: as every table, with the group's colour beside its number."""
        if role == Qt.ItemDataRole.DecorationRole and index.isValid() and index.column() == 0:
            return _dot(colour(tint(self.rows[index.row()])))
        return super().data(index, role)


def _dot(ink: QColor) -> QPixmap:
    picture = QPixmap(QSize(24, 24))
    picture.setDevicePixelRatio(2)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ink)
    painter.drawEllipse(1, 1, 10, 10)
    painter.end()
    return picture
