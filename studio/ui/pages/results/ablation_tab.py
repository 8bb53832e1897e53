"""Results, third view: what each attachment is worth, and how large and of what rank each change of a weight is."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QHeaderView,
    QProgressBar,
    QSplitter,
    QStackedWidget,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from studio.core.run import Run
from studio.ui.i18n.language import tr
from studio.ui.services import recipe_edits
from studio.ui.services.error_text import error_message
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import format_count, format_percent
from studio.ui.style.theme import color
from studio.ui.widgets.checkable_model import CheckableTableModel
from studio.ui.widgets.components import Banner, Card, EmptyState, VBox, button, container, text_label
from studio.ui.widgets.painting import small_font
from studio.ui.widgets.row_table import set_up_row_table

if TYPE_CHECKING:
    from studio.evaluation.ablation import Ablation, AdapterAnalysis, WeightChange

_SHARE_ROLE = Qt.ItemDataRole.UserRole + 1
_Index = QModelIndex | QPersistentModelIndex


class AblationModel(CheckableTableModel["Ablation"]):
    """Attachments, to be ticked for pruning."""

    columns = ("Attachment", "Parameters", "Without it", "Points lost", "Per 1,000")

    def cells(self, row: "Ablation") -> tuple[str, ...]:
        """Name, size, and what it is worth in points of accuracy."""
        worth = "" if row.accuracy_per_1k_params is None else f"{100 * row.accuracy_per_1k_params:.2f}"
        return (
            row.name,
            format_count(row.parameters),
            format_percent(row.accuracy_without),
            f"{100 * row.accuracy_drop:.1f}",
            worth,
        )

    def tool_tip(self, row: "Ablation") -> str:
        """What to make of it."""
        if row.accuracy_drop <= 0:
            return tr("Without {name} the run is no worse: it can be pruned.", name=row.name)
        return tr(
            "Without {name} accuracy falls by {points:.1f} points.", name=row.name, points=100 * row.accuracy_drop
        )

    def key(self, row: "Ablation") -> str:
        """Its name."""
        return row.name

    @property
    def checked_names(self) -> set[str]:
        """The ticked attachments."""
        return {row.name for row in self.rows if row.name in self.checked}


class _ShareBarDelegate(QStyledItemDelegate):
    """Draws a number with a bar behind it, as long as its share of the largest."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        """Qt: rows of one height."""
        return QSize(80, 26)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """Qt: draw one cell."""
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, color("accent_soft"))
        share = index.data(_SHARE_ROLE)
        if share is not None:
            box = QRectF(option.rect).adjusted(2, 5, -8, -5)
            painter.save()
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color("adapter_soft"))
            painter.drawRoundedRect(QRectF(box.left(), box.top(), max(3.0, box.width() * share), box.height()), 3, 3)
            painter.restore()
        painter.setFont(small_font())
        painter.setPen(color("text"))
        painter.drawText(option.rect.adjusted(8, 0, -8, 0), int(Qt.AlignmentFlag.AlignVCenter), str(index.data() or ""))


class AblationTab(QWidget):
    """Measures the chosen run on request, and prunes the recipe by what it finds."""

    _progressed = Signal(object)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.workspace = workspace
        self.run: Run | None = None
        self.analysis: AdapterAnalysis | None = None
        self.stack = QStackedWidget()
        self.measure_button = button(tr("Measure"), self.measure, "eye", "primary")
        self.bar = QProgressBar()
        self.bar.setFixedWidth(280)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress of the measurement"))
        self.empty = EmptyState(
            "eye",
            tr("What is each attachment worth?"),
            tr(
                "The validation images are looked at once with everything, and once more without each attachment. It "
                "also shows how much each weight was changed, and of what rank the change is."
            ),
            self.measure_button,
            self.bar,
        )
        self.error_banner = Banner()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._content())
        self.setLayout(VBox(self.error_banner, (self.stack, 1), gap=10))
        self._progressed.connect(self._show_progress)

    def _content(self) -> QWidget:
        self.model = AblationModel(self)
        self.model.checked_changed.connect(self._show_prune)
        self.table = _table(self.model)
        self.title = text_label("", "caption", wrap=True)
        self.prune_button = button(tr("Prune the ticked"), self.prune, "trash")
        self.banner = Banner()
        worth = Card(
            tr("Accuracy without each attachment"), self.title, (self.table, 1), self.banner,
            heading_items=(self.prune_button,), padding=14,
        )  # fmt: skip
        self.tree = _change_tree()
        words = tr("Norm of each change, relative to the weight's own, and effective rank (Roy and Vetterli 2007).")
        self.tree_caption = text_label(words, "caption", wrap=True)
        changes = Card(tr("What training changed"), self.tree_caption, (self.tree, 1), padding=14)
        parts = QSplitter(Qt.Orientation.Horizontal)
        parts.setChildrenCollapsible(False)
        parts.addWidget(worth)
        parts.addWidget(changes)
        parts.setSizes([560, 520])
        return container(VBox((parts, 1)))

    # measuring

    def set_run(self, run: Run | None) -> None:
        """Another run is looked at."""
        self.run, self.analysis = run, None
        self.error_banner.show_message("")
        self._show_measuring(False)
        self.stack.setCurrentIndex(0)

    def measure(self) -> None:
        """Look at the run with each attachment switched off in turn."""
        run = self.run
        if run is None:
            return
        self.error_banner.show_message("")
        self._show_measuring(True)
        tell = self._progressed.emit
        self.workspace.worker.submit(
            lambda: _measure(run, lambda done, total: tell((run, done, total))),
            lambda found: self._show(run, found),
            lambda error: self._failed(run, error),
            "xray",
        )

    def _show_measuring(self, on: bool) -> None:
        self.measure_button.setVisible(not on)
        self.bar.setVisible(on)
        self.bar.setRange(0, 0)

    def _show_progress(self, progress: tuple[Run, int, int]) -> None:
        run, done, total = progress
        if run is self.run:
            self.bar.setRange(0, total + 1)
            self.bar.setValue(done + 1)

    def _failed(self, run: Run, error: Exception) -> None:
        if run is self.run:
            self._show_measuring(False)
            self.error_banner.show_message(error_message(error), "bad")

    def _show(self, run: Run, analysis: "AdapterAnalysis") -> None:
        if run is not self.run:
            return
        self.analysis = analysis
        self._show_measuring(False)
        self.model.checked = set()
        self.model.show_rows(analysis.ablations)
        with_all, images = format_percent(analysis.accuracy), format_count(analysis.images)
        self.title.setText(
            tr("With everything {accuracy} on {n} validation images.", accuracy=with_all, n=images)
            if analysis.ablations
            else tr("Only the classifier was trained, so there is nothing to switch off.")
        )
        self.banner.show_message(_advice(analysis.ablations), "info")
        self._fill_tree(analysis.changes)
        self._show_prune()
        self.stack.setCurrentIndex(1)

    def _fill_tree(self, changes: "Sequence[WeightChange]") -> None:
        self.tree.clear()
        self.tree.setHeaderLabels([tr("Weight"), tr("Attachment"), tr("Change"), tr("Relative"), tr("Rank")])
        largest = max((change.norm for change in changes), default=0.0)
        items: dict[str, QTreeWidgetItem] = {}
        for change in changes:
            item = QTreeWidgetItem(_layer_item(self.tree, change.layer, items))
            rank = "" if change.effective_rank is None else f"{change.effective_rank:.1f}"
            own = "" if change.relative_norm is None else format_percent(change.relative_norm)
            for column, words in enumerate((change.tensor, change.attachment, f"{change.norm:.3g}", own, rank)):
                item.setText(column, words)
                item.setToolTip(column, f"{change.layer}.{change.tensor}")
            item.setData(2, _SHARE_ROLE, change.norm / largest if largest else 0.0)
        self.tree.expandAll() if len(changes) <= 60 else self.tree.expandToDepth(0)
        self.tree_caption.setVisible(bool(changes))

    # pruning

    def _show_prune(self) -> None:
        self.prune_button.setEnabled(bool(self.model.checked_names))

    def prune(self) -> None:
        """Take the ticked attachments out of the recipe as one step of the history.

        Where the recipe in the window has others than the run, it becomes the run's without them.
        """
        if self.run is None or not self.model.checked_names:
            return
        names, here, there = self.model.checked_names, self.workspace.recipe, self.run.recipe
        same = [a for a in here.attachments if a.name in names] == [a for a in there.attachments if a.name in names]
        pruned = recipe_edits.without_attachments(here if same else there, set(names))
        words = ", ".join(sorted(names))
        self.workspace.document.edit(tr("Prune {names}", names=words), pruned)
        whose = tr("The recipe") if same else tr("The recipe is now that of this run; it")
        self.banner.show_message(
            tr("{whose} no longer has {names}. Undo takes it back.", whose=whose, names=words), "good"
        )


def _advice(ablations: "Sequence[Ablation]") -> str:
    idle = [a.name for a in ablations if a.accuracy_drop <= 0]
    return tr("Without {names} the run is no worse.", names=", ".join(idle)) if idle else ""


def _layer_item(tree: QTreeWidget, path: str, items: dict[str, QTreeWidgetItem]) -> QTreeWidgetItem:
    """The item of a layer, made with those above it where it is not there yet."""
    if path not in items:
        above, _, name = path.rpartition(".")
        item = QTreeWidgetItem(_layer_item(tree, above, items)) if above else QTreeWidgetItem(tree)
        item.setText(0, name or tr("backbone"))
        items[path] = item
    return items[path]


def _change_tree() -> QTreeWidget:
    tree = QTreeWidget()
    tree.setColumnCount(5)
    tree.setUniformRowHeights(True)
    tree.setIndentation(14)
    tree.setItemDelegateForColumn(2, _ShareBarDelegate(tree))
    tree.setAccessibleName(tr("Changes of weights"))
    header = tree.header()
    header.setStretchLastSection(False)
    header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    for column, width in ((1, 84), (2, 80), (3, 68), (4, 56)):
        tree.setColumnWidth(column, width)
    return tree


def _table(model: QAbstractItemModel) -> QTableView:
    table = set_up_row_table(QTableView(), model, tr("What each attachment is worth"), 30)
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    return table


def _measure(run: Run, report: Callable[[int, int], object]) -> "AdapterAnalysis":
    from studio.evaluation.ablation import analyze_run

    return analyze_run(run, on_progress=report)
