"""Compare page: several runs side by side, averaged over seeds; sweeps."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPoint, Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHeaderView,
    QSplitter,
    QStackedWidget,
    QTableView,
    QWidget,
)

from studio.app.comparison.comparison_view import ComparisonView, RunOption, load_comparison
from studio.app.sweeps.sweep import sweep_run_options
from studio.core.messages import N_
from studio.core.recipe import Recipe
from studio.ui.i18n.language import localized, tr, tr_n
from studio.ui.pages.base import Page
from studio.ui.pages.compare.comparison_models import BASELINE_COLUMN, RunOptionModel, SeedGroupModel, group_color
from studio.ui.pages.registry import PageSpec, register
from studio.ui.services.error_text import error_message
from studio.ui.services.trainer import RunRow
from studio.ui.services.workspace import Workspace
from studio.ui.shared.recipe_diff import RecipeDiff
from studio.ui.widgets.components import Card, EmptyState, HBox, VBox, button, container, text_label
from studio.ui.widgets.fields import guard_wheel
from studio.ui.widgets.menu import Menu
from studio.ui.widgets.row_table import set_up_row_table
from studio.ui.widgets.segmented_control import SegmentedControl

if TYPE_CHECKING:
    from studio.app.comparison.seed_groups import SeedGroup
    from studio.app.inspection import Inspector
    from studio.core.layers import Layer
    from studio.core.recipe import Backbone

SWEEP_PRESETS = (
    ("ranks", N_("Ranks 2, 4, 8, 16, 32")),
    ("lora-against-adapter", N_("LoRA against Adapter at equal parameters")),
)
"""Name and title of the presets of sweeps."""
_MAX_NAMED_CURVES = 6
"""Largest number of curves with a legend; for more, the table is the legend."""


class ComparePage(Page):
    """Page beside the steps that compares the checked runs; writes only the report."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace, tr("Compare runs"), tr("Recipes and results side by side. Check two or more runs."))
        self.sweeps: tuple[RunOption, ...] = ()
        self.comparison: ComparisonView | None = None
        self._inspector: tuple[Backbone, Inspector] | None = None
        self.save_button = button(tr("Save report…"), self._choose_report_folder, "save")
        self.header.addWidget(self.save_button)
        self.stack = QStackedWidget()
        self.empty = EmptyState(
            "results",
            tr("No runs checked"),
            tr("Check runs on the left, open a sweep, or start a sweep of the current recipe."),
        )
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._content())
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self._build_run_card())
        self.splitter.addWidget(self.stack)
        self.splitter.setSizes([320, 900])
        self.splitter.setStretchFactor(1, 1)
        self.set_content(self.splitter)
        self._plots_made = False
        self._pending_recipes = (0, 1)
        workspace.runs.changed.connect(self._list_runs)
        self._list_runs()
        self._show_buttons()

    # building

    def _build_run_card(self) -> QWidget:
        self.run_model = RunOptionModel(self)
        self.run_model.checked_changed.connect(self._read_selected)
        self.run_table = _table(self.run_model, tr("Runs to compare"))
        self.run_table.setTextElideMode(Qt.TextElideMode.ElideLeft)  # names differ at their ends
        self.run_table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.all_button = button(tr("All"), lambda: self._check_all(True), kind="quiet")
        self.none_button = button(tr("None"), lambda: self._check_all(False), kind="quiet")
        self.open_button = button(tr("Open sweep…"), self._choose_sweep, "open")
        self.sweep_button = button(tr("Start sweep…"), self._sweep_menu, "train")
        card = Card(
            tr("Runs"), (self.run_table, 1), self.open_button, self.sweep_button,
            heading_items=(self.all_button, self.none_button), padding=14,
        )  # fmt: skip
        card.setMinimumWidth(270)
        return card

    def _content(self) -> QWidget:
        self.group_model = SeedGroupModel(self)
        self.groups = _table(self.group_model, tr("Recipes and results"))
        self.groups.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.view_switch = SegmentedControl(
            tr("Comparison view"), ((tr("Metrics"), "results"), (tr("Recipe differences"), "layers"))
        )
        self.views = QStackedWidget()
        self.view_switch.chosen.connect(self.views.setCurrentIndex)
        self.plots = HBox(gap=14)
        table = Card("", (self.groups, 1), padding=12)
        self.figures = QSplitter(Qt.Orientation.Vertical)
        self.figures.setChildrenCollapsible(False)
        self.figures.addWidget(table)
        self.figures.addWidget(container(self.plots))
        self.figures.setSizes([260, 320])
        self.views.addWidget(self.figures)
        self.views.addWidget(self._build_recipe_view())
        self.summary = text_label("", "muted")
        return container(VBox(HBox(self.view_switch, None, self.summary), (self.views, 1), gap=10))

    def _build_recipe_view(self) -> QWidget:
        self.left_recipe, self.right_recipe = (QComboBox() for _ in range(2))
        for box, name in ((self.left_recipe, "A"), (self.right_recipe, "B")):
            box.setAccessibleName(tr("Recipe {name}", name=name))
            box.activated.connect(lambda row: self._show_recipe_diff())
            guard_wheel(box)
        self.recipe_diff = RecipeDiff()
        head = HBox(
            text_label("A", "field"), (self.left_recipe, 1), 8, text_label("B", "field"), (self.right_recipe, 1)
        )
        return Card("", head, (self.recipe_diff, 1), padding=14)

    def _make_plots(self) -> None:
        """Create the plots; imports pyqtgraph."""
        if self._plots_made:
            return
        from studio.ui.pages.compare.pareto_plot import ParetoPlot
        from studio.ui.shared.line_plot import LinePlot

        self._plots_made = True
        self.curves, self.pareto = LinePlot(tr("Accuracy by epoch"), bottom=0, as_percent=True), ParetoPlot()
        self.curves.pointer_moved.connect(self.curves.show_pointer_at)
        for plot in (self.curves, self.pareto):
            self.plots.addWidget(Card("", (plot, 1), padding=12), 1)

    # choosing

    def showEvent(self, event: object) -> None:
        """Qt: the page comes into view; check the selected run if none is checked."""
        super().showEvent(event)  # type: ignore[arg-type]
        selected = self.workspace.runs.selected
        if selected is not None and not self.selected_runs:
            self.select_runs({selected.path})

    def _list_runs(self) -> None:
        own = [_run_option(row) for row in self.workspace.runs.rows if row.readable]
        known = {option.path for option in own}
        self.run_model.show_rows([*own, *(option for option in self.sweeps if option.path not in known)])

    def _check_all(self, on: bool) -> None:
        self.run_model.set_checked({self.run_model.key(row) for row in self.run_model.rows}, on)

    def select_runs(self, paths: set[Path]) -> None:
        """Check exactly these runs."""
        self.run_model.checked = set()
        self.run_model.set_checked({str(path) for path in paths})

    @property
    def selected_runs(self) -> tuple[Path, ...]:
        """Paths of the checked runs in list order."""
        model = self.run_model
        return tuple(row.path for row in model.rows if model.key(row) in model.checked)

    def _choose_sweep(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Choose a sweep folder"))
        if path:
            self.open_sweep(Path(path))

    def open_sweep(self, folder: Path) -> None:
        """List the runs of the sweep in ``folder`` and compare them."""
        self.workspace.worker.submit(lambda: sweep_run_options(folder), self._sweep_opened, self._failed)

    def _sweep_opened(self, options: tuple[RunOption, ...]) -> None:
        new = {option.path for option in options}
        self.sweeps = (*options, *(option for option in self.sweeps if option.path not in new))
        self._list_runs()
        self.select_runs(new)

    # sweeping

    def _sweep_menu(self) -> None:
        menu = Menu(self)
        for preset, title in SWEEP_PRESETS:
            menu.addAction(localized(title), partial(self.queue_sweep, preset))
        menu.exec(self.sweep_button.mapToGlobal(QPoint(0, self.sweep_button.height() + 2)))
        menu.deleteLater()

    def queue_sweep(self, preset: str) -> None:
        """Queue the recipes that ``preset`` makes of the current one."""
        recipe = self.workspace.recipe
        self.workspace.worker.submit(lambda: _sweep_recipes(recipe, preset), self._enqueue, self._failed)

    def _enqueue(self, recipes: tuple[Recipe, ...]) -> None:
        for recipe in recipes:
            self.workspace.queue.add(recipe)
        if self.workspace.queue.startable:
            self.workspace.queue.start()
        text = tr_n(
            "{n} recipe is queued on the Train page. Its run appears here.",
            "{n} recipes are queued on the Train page. Their runs appear here.",
            len(recipes),
        )
        self.banner.show_message(text, "good")

    # showing

    def _read_selected(self) -> None:
        self.banner.show_message("")
        paths = self.selected_runs
        if not paths:
            self.comparison = None
            self.stack.setCurrentIndex(0)
            self._show_buttons()
            return
        self.workspace.worker.submit(lambda: _read_comparison(paths), self._show, self._failed, "compare")

    def _failed(self, error: Exception) -> None:
        self.banner.show_message(error_message(error), "bad")

    def _show(self, comparison: ComparisonView) -> None:
        self._make_plots()
        self.comparison = comparison
        report = comparison.report
        self.group_model.show_comparison(comparison)
        self.groups.setColumnHidden(BASELINE_COLUMN, not any(comparison.baselines))
        runs = sum(len(group.runs) for group in report.groups)
        counts = tr_n("{n} recipe", "{n} recipes", len(report.groups)), tr_n("{n} run", "{n} runs", runs)
        self.summary.setText("   ·   ".join(counts))
        self._show_plots(comparison)
        for box, row in zip((self.left_recipe, self.right_recipe), self._pending_recipes, strict=True):
            box.clear()
            box.addItems([f"{group.number}  {localized(group.label)}" for group in report.groups])
            box.setCurrentIndex(min(row, len(report.groups) - 1))
        self._pending_recipes = (0, 1)
        self._show_recipe_diff()
        self.stack.setCurrentIndex(1)
        self._show_buttons()

    def _show_plots(self, comparison: ComparisonView) -> None:
        import numpy as np

        from studio.app.comparison.svg_charts import mean_line
        from studio.ui.pages.compare.pareto_plot import ParetoPoint
        from studio.ui.shared.line_plot import PlotSeries

        report = comparison.report
        lines = []
        for group, curve in zip(report.groups, report.curves, strict=True):
            mean = np.array(mean_line(curve.lines), float).reshape(-1, 2)
            name = str(group.number) if len(report.groups) <= _MAX_NAMED_CURVES else ""
            lines.append(PlotSeries(name, group_color(group), mean[:, 0], mean[:, 1], emphasized=True))
        self.curves.show_series(lines)
        self.curves.show_all()
        self.pareto.show_points(
            [
                ParetoPoint(
                    g.number,
                    localized(g.label),
                    group_color(g),
                    g.parameters,
                    g.accuracy,
                    g.accuracy_halfwidth or 0.0,
                    g in report.pareto_front,
                )
                for g in report.groups
                if g.parameters and g.accuracy is not None
            ]
        )

    def _show_recipe_diff(self) -> None:
        """Show the differences of the two selected recipes on the layer tree of the first."""
        compared, rows = self.comparison, (self.left_recipe.currentIndex(), self.right_recipe.currentIndex())
        if compared is None or min(rows) < 0:
            return
        left, right = (compared.recipes[row] for row in rows)
        groups: tuple[SeedGroup, ...] = tuple(compared.report.groups[row] for row in rows)
        names = (f"A: {localized(groups[0].label)}", f"B: {localized(groups[1].label)}")
        self.workspace.worker.submit(
            lambda: self._layers(left),
            lambda layers: self.recipe_diff.show_recipes(left, right, layers, names),
            self._failed,
            "diff",
        )

    def _layers(self, recipe: Recipe) -> "tuple[Layer, ...]":
        """Return the layers of the recipe's backbone, cached; runs on the worker thread."""
        from studio.app.inspection import Inspector

        if self._inspector is None or self._inspector[0] != recipe.backbone:
            self._inspector = (recipe.backbone, Inspector(recipe.backbone))
        return self._inspector[1].layers

    def _show_buttons(self) -> None:
        self.save_button.setEnabled(self.comparison is not None)

    # state that survives a rebuild of the window

    def view_state(self) -> dict[str, Any]:
        """Return checked runs, opened sweeps, the open view and the recipes on the tree."""
        return {
            "checked": self.selected_runs,
            "sweeps": self.sweeps,
            "view": self.views.currentIndex(),
            "recipes": (self.left_recipe.currentIndex(), self.right_recipe.currentIndex()),
            "sizes": self.splitter.sizes(),
        }

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Look like the page that returned ``state``."""
        self.sweeps = tuple(state.get("sweeps", ()))
        self._list_runs()
        self.view_switch.set_current(state.get("view", 0))
        self.views.setCurrentIndex(state.get("view", 0))
        self.splitter.setSizes(state.get("sizes", []))
        if checked := state.get("checked"):
            self._pending_recipes = state.get("recipes", (0, 1))
            self.select_runs(set(checked))

    # the report

    def _choose_report_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Choose a folder for the report"))
        if path:
            self.save_report(Path(path), lambda page: QDesktopServices.openUrl(QUrl.fromLocalFile(str(page))))

    def save_report(self, folder: Path, done: Callable[[Path], object] = lambda page: None) -> None:
        """Write the report to ``folder`` and call ``done`` with the path of its page."""
        from studio.app.comparison.report_writer import write_report

        compared = self.comparison
        if compared is None:
            return

        def saved(page: Path) -> None:
            self.banner.show_message(tr("Report saved: {path}", path=page), "good")
            done(page)

        self.workspace.worker.submit(lambda: write_report(compared.report, folder), saved, self._failed)


def _read_comparison(paths: Sequence[Path]) -> ComparisonView:
    """Return the comparison; imports pyqtgraph on the worker thread (0.5 s)."""
    import pyqtgraph  # noqa: F401

    return load_comparison(paths)


def _run_option(row: RunRow) -> RunOption:
    return RunOption(row.run.path, row.name, row.methods, row.state, row.accuracy)


def _sweep_recipes(recipe: Recipe, preset: str) -> tuple[Recipe, ...]:
    from studio.app.sweeps.grid import expand_grid
    from studio.app.training import check_trainable

    check_trainable(recipe)
    return tuple(point.recipe for point in expand_grid(recipe, preset=preset))


def _table(model: RunOptionModel | SeedGroupModel, name: str) -> QTableView:
    table = set_up_row_table(QTableView(), model, name, 30)
    table.setWordWrap(False)
    header = table.horizontalHeader()
    header.setHighlightSections(False)
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    return table


PAGE = register(PageSpec("compare", N_("Compare runs"), "results", ComparePage, "Ctrl+6"))
