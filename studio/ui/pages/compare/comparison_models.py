"""The tables of the page that compares runs."""

from typing import Any

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPixmap

from studio.app.comparison.comparison_view import ComparisonView, RunOption
from studio.app.comparison.seed_groups import SeedGroup
from studio.ui.i18n.language import tr
from studio.ui.style.formatting import format_bytes, format_count, format_duration, format_percent
from studio.ui.style.theme import color
from studio.ui.widgets.checkable_model import CheckableTableModel
from studio.ui.widgets.table_model import RowTableModel

GROUP_COLORS = ("accent", "adapter", "second", "head", "good", "bad", "frozen", "faint")
"""The colours of the groups in turn; their numbers tell the rest apart."""


def group_color(group: SeedGroup) -> str:
    """The colour of a group, by theme token."""
    return GROUP_COLORS[(group.number - 1) % len(GROUP_COLORS)]


class RunOptionModel(CheckableTableModel[RunOption]):
    """Runs to tick."""

    columns = ("Run", "Accuracy")

    def cells(self, row: RunOption) -> tuple[str, str]:
        """Its name, and how good it has been."""
        return row.name, format_percent(row.accuracy) if row.accuracy is not None else tr(row.state)

    def tool_tip(self, row: RunOption) -> str:
        """Where it lies and what it trains."""
        return f"{row.path}\n{row.methods}"

    def key(self, row: RunOption) -> str:
        """Its folder."""
        return str(row.path)


class SeedGroupModel(RowTableModel[SeedGroup]):
    """Recipes with what came out, seeds taken together."""

    columns = ("", "Method", "Trainable", "Accuracy", "Against baseline", "Runs", "Time", "Memory", "Adapter")

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.comparison: ComparisonView | None = None

    def show_comparison(self, comparison: ComparisonView) -> None:
        """Replace the table."""
        self.comparison = comparison
        self.show_rows(comparison.report.groups)

    def cells(self, row: SeedGroup) -> tuple[str, ...]:
        """Figures that no run has reached are a dash."""
        assert self.comparison is not None
        interval = f" ± {100 * row.accuracy_halfwidth:.1f}" if row.accuracy_halfwidth is not None else ""
        accuracy = f"{100 * row.accuracy:.1f}{interval} %" if row.accuracy is not None else "–"
        gain = self.comparison.gain_over_baseline(row)
        return (
            str(row.number),
            row.label + ("  ★" if row in self.comparison.report.pareto_front else ""),
            format_count(row.parameters) if row.parameters is not None else "–",
            accuracy,
            tr("{points:+.1f} points", points=100 * gain) if gain is not None else "–",
            str(len(row.runs)),
            format_duration(row.seconds) if row.seconds is not None else "–",
            format_bytes(row.peak_memory_bytes) if row.peak_memory_bytes is not None else "–",
            format_bytes(row.adapter_bytes) if row.adapter_bytes is not None else "–",
        )

    def tool_tip(self, row: SeedGroup) -> str:
        """The attachments in full, and the runs."""
        return "\n".join((row.attachments, *(run.run for run in row.runs)))

    def key(self, row: SeedGroup) -> object:
        """Its runs."""
        return tuple(run.run for run in row.runs)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: as every table, with the group's colour beside its number."""
        if role == Qt.ItemDataRole.DecorationRole and index.isValid() and index.column() == 0:
            return _color_dot(color(group_color(self.rows[index.row()])))
        return super().data(index, role)


def _color_dot(color: QColor) -> QPixmap:
    picture = QPixmap(QSize(24, 24))
    picture.setDevicePixelRatio(2)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    painter.drawEllipse(1, 1, 10, 10)
    painter.end()
    return picture
