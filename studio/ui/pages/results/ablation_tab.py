"""Third tab of the results: ablation of the attachments, and weight changes."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

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

from studio.core.messages import N_
from studio.core.run import Run
from studio.ui.i18n.language import tr, tr_n
from studio.ui.services import recipe_edits
from studio.ui.services.error_text import error_message
from studio.ui.services.workspace import Workspace
from studio.ui.shared.error_banner import ErrorBanner
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
    """Attachments with their accuracy drop, checkable for pruning."""

    columns = (N_("Attachment"), N_("Parameters"), N_("Without it"), N_("Drop, points"), N_("Per 1,000"))

    def cells(self, row: "Ablation") -> tuple[str, ...]:
        """Return name, parameters, and the accuracy drop without it in points."""
        per_1k = "" if row.accuracy_per_1k_params is None else f"{100 * row.accuracy_per_1k_params:.2f}"
        return (
            row.name,
            format_count(row.parameters),
            format_percent(row.accuracy_without),
            f"{100 * row.accuracy_drop:.1f}",
            per_1k,
        )

    def tool_tip(self, row: "Ablation") -> str:
        """Return the effect of the attachment as a sentence."""
        if row.accuracy_drop <= 0:
            return tr("Accuracy does not drop without {name}, so it can be pruned", name=row.name)
        return tr("Accuracy drops by {points:.1f} points without {name}", name=row.name, points=100 * row.accuracy_drop)

    def key(self, row: "Ablation") -> str:
        """Return the name of the attachment."""
        return row.name

    @property
    def checked_names(self) -> set[str]:
        """Names of the checked attachments."""
        return {row.name for row in self.rows if row.name in self.checked}


class _ShareBarDelegate(QStyledItemDelegate):
    """Delegate that draws a number over a bar of its share of the largest."""

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
    """Tab that ablates the selected run on request and prunes the recipe."""

    _progressed = Signal(object)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.workspace = workspace
        self.run: Run | None = None
        self.analysis: AdapterAnalysis | None = None
        self.stack = QStackedWidget()
        self.measure_button = button(tr("Run ablation"), self.measure, "eye", "primary")
        self.bar = QProgressBar()
        self.bar.setFixedWidth(280)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress of the ablation"))
        self.empty = EmptyState(
            "eye",
            tr("Contribution of each attachment"),
            tr(
                "The run is evaluated with all attachments, and again without each one. The size and effective rank of "
                "each weight change are measured too."
            ),
            self.measure_button,
            self.bar,
        )
        self.error_banner = ErrorBanner()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._content())
        self.setLayout(VBox(self.error_banner, (self.stack, 1), gap=10))
        self._progressed.connect(self._show_progress)

    def _content(self) -> QWidget:
        self.model = AblationModel(self)
        self.model.checked_changed.connect(self._show_prune)
        self.table = _table(self.model)
        self.title = text_label("", "caption", wrap=True)
        self.prune_button = button(tr("Prune checked"), self.prune, "trash")
        self.banner = Banner()
        drops = Card(
            tr("Accuracy without each attachment"), self.title, (self.table, 1), self.banner,
            heading_items=(self.prune_button,), padding=14,
        )  # fmt: skip
        self.tree = _change_tree()
        self.tree_caption = text_label(
            tr("Norm of each change, also relative to the weight, and effective rank (Roy and Vetterli 2007)"),
            "caption",
            wrap=True,
        )
        changes = Card(tr("Weight changes"), self.tree_caption, (self.tree, 1), padding=14)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(drops)
        splitter.addWidget(changes)
        for side in (0, 1):
            splitter.setStretchFactor(side, 1)
        splitter.setSizes([560, 520])
        return container(VBox((splitter, 1)))

    # ablation

    def set_run(self, run: Run | None) -> None:
        """Show ``run``, not yet measured."""
        self.run, self.analysis = run, None
        self.error_banner.show_message("")
        self._show_measuring(False)
        self.stack.setCurrentIndex(0)

    def measure(self) -> None:
        """Evaluate the run with each attachment disabled in turn."""
        run = self.run
        if run is None:
            return
        self.error_banner.show_message("")
        self._show_measuring(True)
        report = self._progressed.emit
        self.workspace.worker.submit(
            lambda: _measure(run, lambda done, total: report((run, done, total))),
            lambda analysis: self._show(run, analysis),
            lambda error: self._failed(run, error),
            "ablation",
        )

    def _show_measuring(self, on: bool) -> None:
        if on and self.measure_button.hasFocus():
            self.setFocus()  # Qt would move the focus of a hidden button to another page
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
        self.title.setText(
            tr_n(
                "All attachments: {accuracy} on {n:,} validation image",
                "All attachments: {accuracy} on {n:,} validation images",
                analysis.images,
                accuracy=format_percent(analysis.accuracy),
            )
            if analysis.ablations
            else tr("Only the classifier was trained, so there are no attachments.")
        )
        self.banner.show_message(_advice(analysis.ablations), "info")
        self._fill_tree(analysis.changes)
        self._show_prune()
        self.stack.setCurrentIndex(1)
        if self.hasFocus():
            self.table.setFocus()

    def _fill_tree(self, changes: "Sequence[WeightChange]") -> None:
        self.tree.clear()
        self.tree.setHeaderLabels([tr("Weight"), tr("Attachment"), tr("Change"), tr("Relative"), tr("Rank")])
        largest = max((change.norm for change in changes), default=0.0)
        items: dict[str, QTreeWidgetItem] = {}
        for change in changes:
            item = QTreeWidgetItem(_layer_item(self.tree, change.layer, items))
            rank = "" if change.effective_rank is None else f"{change.effective_rank:.1f}"
            relative = "" if change.relative_norm is None else format_percent(change.relative_norm)
            for column, cell in enumerate((change.tensor, change.attachment, f"{change.norm:.3g}", relative, rank)):
                item.setText(column, cell)
                item.setToolTip(column, f"{change.layer}.{change.tensor}")
            item.setData(2, _SHARE_ROLE, change.norm / largest if largest else 0.0)
        self.tree.expandAll() if len(changes) <= 60 else self.tree.expandToDepth(0)
        self.tree_caption.setVisible(bool(changes))

    # pruning

    def _show_prune(self) -> None:
        self.prune_button.setEnabled(bool(self.model.checked_names))

    def prune(self) -> None:
        """Remove the checked attachments from the recipe as one undo step.

        If those attachments differ between the open recipe and the run, the run's recipe replaces the open one.
        """
        if self.run is None or not self.model.checked_names:
            return
        checked, here, there = self.model.checked_names, self.workspace.recipe, self.run.recipe
        same = [a for a in here.attachments if a.name in checked] == [a for a in there.attachments if a.name in checked]
        pruned = recipe_edits.without_attachments(here if same else there, set(checked))
        names = ", ".join(sorted(checked))
        self.workspace.document.edit(N_("Prune {names}", names=names), pruned)
        self.banner.show_message(
            tr("Removed {names} from the recipe. Undo restores it.", names=names)
            if same
            else tr("The recipe is now that of this run without {names}. Undo restores the previous one.", names=names),
            "good",
        )

    # state that survives a rebuild of the window

    def view_state(self) -> dict[str, Any]:
        """Return the analysis, the checked attachments, and whether it is measuring."""
        return {"analysis": self.analysis, "checked": self.model.checked, "measuring": not self.bar.isHidden()}

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Look like the tab that returned ``state``; a running ablation starts again."""
        if self.run is not None and (analysis := state.get("analysis")) is not None:
            self._show(self.run, analysis)
            self.model.set_checked(set(state.get("checked", ())))
        elif state.get("measuring"):
            self.measure()


def _advice(ablations: "Sequence[Ablation]") -> str:
    prunable = [a.name for a in ablations if a.accuracy_drop <= 0]
    return tr("Accuracy does not drop without {names}.", names=", ".join(prunable)) if prunable else ""


def _layer_item(tree: QTreeWidget, path: str, items: dict[str, QTreeWidgetItem]) -> QTreeWidgetItem:
    """Return the item of a layer, created with its ancestors if needed."""
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
    tree.setAccessibleName(tr("Weight changes"))
    header = tree.header()
    header.setStretchLastSection(False)
    header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    for column, width in ((1, 84), (2, 80), (3, 68), (4, 56)):
        tree.setColumnWidth(column, width)
    return tree


def _table(model: QAbstractItemModel) -> QTableView:
    table = set_up_row_table(QTableView(), model, tr("Contribution of each attachment"), 30)
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    return table


def _measure(run: Run, report: Callable[[int, int], object]) -> "AdapterAnalysis":
    from studio.evaluation.ablation import analyze_run

    return analyze_run(run, on_progress=report)
