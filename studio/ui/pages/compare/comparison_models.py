"""Table models of the page that compares runs."""

from typing import Any

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPixmap

from studio.app.comparison.comparison_view import ComparisonView, RunOption
from studio.app.comparison.seed_groups import SeedGroup
from studio.core.messages import N_
from studio.ui.i18n.language import localized, tr
from studio.ui.shared.run_state import state_text
from studio.ui.style.formatting import format_bytes, format_count, format_duration, format_percent
from studio.ui.style.theme import color
from studio.ui.widgets.checkable_model import CheckableTableModel
from studio.ui.widgets.table_model import RowTableModel

GROUP_COLORS = ("accent", "adapter", "second", "head", "good", "bad", "frozen", "faint")
"""Theme colors of the groups, repeated in turn; the number of a group is unique."""
BASELINE_COLUMN = 4


def group_color(group: SeedGroup) -> str:
    """Return the theme color of a group."""
    return GROUP_COLORS[(group.number - 1) % len(GROUP_COLORS)]


class RunOptionModel(CheckableTableModel[RunOption]):
    """Checkable runs."""

    columns = (N_("Run"), N_("Accuracy"))

    def cells(self, row: RunOption) -> tuple[str, str]:
        """Return name and accuracy, or the state of a run without accuracy."""
        return row.name, format_percent(row.accuracy) if row.accuracy is not None else state_text(row.state)

    def tool_tip(self, row: RunOption) -> str:
        """Return path and methods."""
        return f"{row.path}\n{row.methods}"

    def key(self, row: RunOption) -> str:
        """Return the path."""
        return str(row.path)


class SeedGroupModel(RowTableModel[SeedGroup]):
    """Recipes with their results, averaged over seeds."""

    columns = (
        "",
        N_("Method"),
        N_("Trainable"),
        N_("Accuracy"),
        N_("Gain over baseline"),
        N_("Runs"),
        N_("Time"),
        N_("Memory"),
        N_("Adapter"),
    )

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.comparison: ComparisonView | None = None

    def show_comparison(self, comparison: ComparisonView) -> None:
        """Replace the table."""
        self.comparison = comparison
        self.show_rows(comparison.report.groups)

    def cells(self, row: SeedGroup) -> tuple[str, ...]:
        """Return the figures of a group; unknown ones are a dash."""
        assert self.comparison is not None
        interval = f" ± {100 * row.accuracy_halfwidth:.1f}" if row.accuracy_halfwidth is not None else ""
        accuracy = f"{100 * row.accuracy:.1f}{interval} %" if row.accuracy is not None else "–"
        gain = self.comparison.gain_over_baseline(row)
        return (
            str(row.number),
            localized(row.label) + ("  ★" if row in self.comparison.report.pareto_front else ""),
            format_count(row.parameters) if row.parameters is not None else "–",
            accuracy,
            tr("{points:+.1f} points", points=100 * gain) if gain is not None else "–",
            str(len(row.runs)),
            format_duration(row.seconds) if row.seconds is not None else "–",
            format_bytes(row.peak_memory_bytes) if row.peak_memory_bytes is not None else "–",
            format_bytes(row.adapter_bytes) if row.adapter_bytes is not None else "–",
        )

    def tool_tip(self, row: SeedGroup) -> str:
        """Return the attachments in full and the names of the runs."""
        return "\n".join((row.attachments, *(run.run for run in row.runs)))

    def key(self, row: SeedGroup) -> object:
        """Return the names of the runs."""
        return tuple(run.run for run in row.runs)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: also the color of the group beside its number."""
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
