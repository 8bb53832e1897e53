"""Compare: several runs side by side, seeds taken together; sweeps are opened and begun from here."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

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

from studio.app.comparison.comparison_view import Choice, Compared, of_sweep, read
from studio.core.recipe import Recipe
from studio.ui.i18n.language import tr
from studio.ui.pages.base import Page
from studio.ui.pages.compare.comparison_models import ChoiceTable, GroupTable, tint
from studio.ui.services.background import sentence
from studio.ui.services.trainer import RunRow
from studio.ui.services.workspace import Workspace
from studio.ui.shared.recipe_diff import RecipeDifference
from studio.ui.style.formatting import plural
from studio.ui.widgets.components import Card, Column, Empty, Row, button, holder, text
from studio.ui.widgets.fields import guard_wheel
from studio.ui.widgets.menu import Menu
from studio.ui.widgets.row_table import row_table
from studio.ui.widgets.segmented_control import Segments

if TYPE_CHECKING:
    from studio.app.comparison.seed_groups import Group
    from studio.app.inspection import Inspector
    from studio.core.layers import Layer
    from studio.core.recipe import Backbone

PRESETS = (("ranks", "Ranks 2, 4, 8, 16, 32"), ("lora-against-adapter", "LoRA against Adapter at equal parameters"))
"""The sweeps that one press begins, by the name of their preset."""
_BASELINE = GroupTable.columns.index("Against baseline")
_NAMED = 6
"""Of more curves than this, the table beside them is the key."""


class ComparePage(Page):
    """Reads what is ticked; writes nothing but the report."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            workspace, tr("Compare runs"), tr("What differs in their recipes, and what came out. Tick two or more.")
        )
        self.sweeps: tuple[Choice, ...] = ()
        self.compared: Compared | None = None
        self._inspector: tuple[Backbone, Inspector] | None = None
        self.save_button = button(tr("Save the report…"), self._save, "save")
        self.head.addWidget(self.save_button)
        self.stack = QStackedWidget()
        words = tr("Tick runs on the left, open the folder of a sweep, or begin one from the recipe as it is.")
        self.empty = Empty("results", tr("Nothing is compared yet"), words)
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._content())
        parts = QSplitter(Qt.Orientation.Horizontal)
        parts.setChildrenCollapsible(False)
        parts.addWidget(self._choices())
        parts.addWidget(self.stack)
        parts.setSizes([320, 900])
        parts.setStretchFactor(1, 1)
        self.fill(parts)
        self._drawn = False
        workspace.runs.changed.connect(lambda rows: self._list())
        self._list()
        self._show_buttons()

    # building

    def _choices(self) -> QWidget:
        self.choice_model = ChoiceTable(self)
        self.choice_model.ticked.connect(self._read)
        self.choices = _table(self.choice_model, tr("Runs to compare"))
        self.choices.setTextElideMode(Qt.TextElideMode.ElideLeft)  # names differ in their ends
        self.choices.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.all_button = button(tr("All"), lambda: self._tick_all(True), kind="quiet")
        self.none_button = button(tr("None"), lambda: self._tick_all(False), kind="quiet")
        self.open_button = button(tr("Open a sweep…"), self._open, "open")
        self.sweep_button = button(tr("Begin a sweep…"), self._sweep_menu, "train")
        card = Card(
            tr("Runs"), (self.choices, 1), self.open_button, self.sweep_button,
            beside=(self.all_button, self.none_button), padding=14,
        )  # fmt: skip
        card.setMinimumWidth(270)
        return card

    def _content(self) -> QWidget:
        self.group_model = GroupTable(self)
        self.groups = _table(self.group_model, tr("Recipes and what came out"))
        self.groups.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.which = Segments(
            tr("What to compare"), ((tr("Figures"), "results"), (tr("Recipes on the tree"), "layers"))
        )
        self.views = QStackedWidget()
        self.which.chosen.connect(self.views.setCurrentIndex)
        self.plots = Row(gap=14)
        table = Card("", (self.groups, 1), padding=12)
        self.figures = QSplitter(Qt.Orientation.Vertical)
        self.figures.setChildrenCollapsible(False)
        self.figures.addWidget(table)
        self.figures.addWidget(holder(self.plots))
        self.figures.setSizes([260, 320])
        self.views.addWidget(self.figures)
        self.views.addWidget(self._recipes())
        self.told = text("", "muted")
        return holder(Column(Row(self.which, None, self.told), (self.views, 1), gap=10))

    def _recipes(self) -> QWidget:
        self.left, self.right = (QComboBox() for _ in range(2))
        for box, name in ((self.left, "A"), (self.right, "B")):
            box.setAccessibleName(tr("Recipe {name}", name=name))
            box.activated.connect(lambda row: self._differ())
            guard_wheel(box)
        self.difference = RecipeDifference()
        head = Row(text("A", "field"), (self.left, 1), 8, text("B", "field"), (self.right, 1))
        return Card("", head, (self.difference, 1), padding=14)

    def _draw(self) -> None:
        """Make the plots."""
        if self._drawn:
            return
        from studio.ui.pages.compare.pareto_plot import Pareto
        from studio.ui.shared.line_plot import Plot

        self._drawn = True
        self.curves, self.pareto = Plot(tr("Accuracy by epoch"), bottom=0, shares=True), Pareto()
        self.curves.pointed.connect(self.curves.point_at)
        for plot in (self.curves, self.pareto):
            self.plots.addWidget(Card("", (plot, 1), padding=12), 1)

    # choosing

    def showEvent(self, event: object) -> None:
        """Qt: the page comes into view; the run that the other pages look at is ticked where none is."""
        super().showEvent(event)  # type: ignore[arg-type]
        selected = self.workspace.runs.selected
        if selected is not None and not self.chosen:
            self.choose({selected.path})

    def _list(self) -> None:
        own = [_choice(row) for row in self.workspace.runs.rows if row.readable]
        known = {choice.path for choice in own}
        self.choice_model.show_rows([*own, *(c for c in self.sweeps if c.path not in known)])

    def _tick_all(self, on: bool) -> None:
        self.choice_model.tick({self.choice_model.key(row) for row in self.choice_model.rows}, on)

    def choose(self, paths: set[Path]) -> None:
        """Tick these runs and no others."""
        self.choice_model.chosen = set()
        self.choice_model.tick({str(path) for path in paths})

    @property
    def chosen(self) -> tuple[Path, ...]:
        """The ticked runs, in the order of the list."""
        model = self.choice_model
        return tuple(row.path for row in model.rows if model.key(row) in model.chosen)

    def _open(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Choose the folder of a sweep"))
        if path:
            self.open_sweep(Path(path))

    def open_sweep(self, folder: Path) -> None:
        """List the runs of the sweep in ``folder`` and compare them."""
        self.workspace.lane.submit(lambda: of_sweep(folder), self._opened, self._failed)

    def _opened(self, found: tuple[Choice, ...]) -> None:
        new = {choice.path for choice in found}
        self.sweeps = (*found, *(choice for choice in self.sweeps if choice.path not in new))
        self._list()
        self.choose(new)

    # sweeping

    def _sweep_menu(self) -> None:
        menu = Menu(self)
        for preset, words in PRESETS:
            menu.addAction(tr(words), partial(self.sweep, preset))
        menu.exec(self.sweep_button.mapToGlobal(QPoint(0, self.sweep_button.height() + 2)))
        menu.deleteLater()

    def sweep(self, preset: str) -> None:
        """Put the recipes that ``preset`` makes of the document's into the queue."""
        recipe = self.workspace.recipe
        self.workspace.lane.submit(lambda: _points(recipe, preset), self._queue, self._failed)

    def _queue(self, recipes: tuple[Recipe, ...]) -> None:
        for recipe in recipes:
            self.workspace.queue.add(recipe)
        if self.workspace.queue.startable:
            self.workspace.queue.start()
        words = tr("{n} recipes wait in the queue of the page Train. Their runs appear here.", n=len(recipes))
        self.notice.say(words, "good")

    # showing

    def _read(self) -> None:
        self.notice.say("")
        paths = self.chosen
        if not paths:
            self.compared = None
            self.stack.setCurrentIndex(0)
            self._show_buttons()
            return
        self.workspace.lane.submit(lambda: _read(paths), self._show, self._failed, "compare")

    def _failed(self, error: Exception) -> None:
        self.notice.say(sentence(error), "bad")

    def _show(self, compared: Compared) -> None:
        self._draw()
        self.compared = compared
        report = compared.report
        self.group_model.show_compared(compared)
        self.groups.setColumnHidden(_BASELINE, not any(compared.baselines))
        runs = sum(len(group.runs) for group in report.groups)
        self.told.setText(
            tr("{runs} of {recipes}", runs=plural(runs, "run"), recipes=plural(len(report.groups), "recipe"))
        )
        self._show_plots(compared)
        for box, row in ((self.left, 0), (self.right, 1)):
            box.clear()
            box.addItems([f"{group.number}  {group.label}" for group in report.groups])
            box.setCurrentIndex(min(row, len(report.groups) - 1))
        self._differ()
        self.stack.setCurrentIndex(1)
        self._show_buttons()

    def _show_plots(self, compared: Compared) -> None:
        import numpy as np

        from studio.app.comparison.svg_charts import mean_line
        from studio.ui.pages.compare.pareto_plot import Spot
        from studio.ui.shared.line_plot import Line

        report = compared.report
        lines = []
        for group, curve in zip(report.groups, report.curves, strict=True):
            mean = np.array(mean_line(curve.lines), float).reshape(-1, 2)
            name = str(group.number) if len(report.groups) <= _NAMED else ""
            lines.append(Line(name, tint(group), mean[:, 0], mean[:, 1], strong=True))
        self.curves.show_lines(lines)
        self.curves.show_all()
        self.pareto.show_spots(
            [
                Spot(
                    g.number, g.label, tint(g), g.parameters, g.accuracy, g.interval or 0.0, g in report.front
                )
                for g in report.groups
                if g.parameters and g.accuracy is not None
            ]
        )  # fmt: skip

    def _differ(self) -> None:
        """Show the two chosen recipes on the tree of the first."""
        compared, rows = self.compared, (self.left.currentIndex(), self.right.currentIndex())
        if compared is None or min(rows) < 0:
            return
        left, right = (compared.recipes[row] for row in rows)
        groups: tuple[Group, ...] = tuple(compared.report.groups[row] for row in rows)
        names = (f"A: {groups[0].label}", f"B: {groups[1].label}")
        self.workspace.lane.submit(
            lambda: self._layers(left),
            lambda layers: self.difference.show_recipes(left, right, layers, names),
            self._failed,
            "differ",
        )

    def _layers(self, recipe: Recipe) -> "tuple[Layer, ...]":
        """On the lane's thread, which alone keeps the shape of a backbone."""
        from studio.app.inspection import Inspector

        if self._inspector is None or self._inspector[0] != recipe.backbone:
            self._inspector = (recipe.backbone, Inspector(recipe.backbone))
        return self._inspector[1].layers

    def _show_buttons(self) -> None:
        self.save_button.setEnabled(self.compared is not None)

    # the report

    def _save(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Choose a folder for the report"))
        if path:
            self.save(Path(path), lambda page: QDesktopServices.openUrl(QUrl.fromLocalFile(str(page))))

    def save(self, folder: Path, then: Callable[[Path], object] = lambda page: None) -> None:
        """Write the report to ``folder``, and call ``then`` with its page."""
        from studio.app.comparison.seed_groups import write

        compared = self.compared
        if compared is None:
            return

        def saved(page: Path) -> None:
            self.notice.say(tr("The report is in {path}.", path=page), "good")
            then(page)

        self.workspace.lane.submit(lambda: write(compared.report, folder), saved, self._failed)


def _read(paths: Sequence[Path]) -> Compared:
    """On the lane's thread, which also imports what draws the plots: that takes half a second."""
    import pyqtgraph  # noqa: F401

    return read(paths)


def _choice(row: RunRow) -> Choice:
    return Choice(row.run.path, row.name, row.methods, row.state, row.accuracy)


def _points(recipe: Recipe, preset: str) -> tuple[Recipe, ...]:
    from studio.app.sweeps.grid import points
    from studio.app.training import check

    check(recipe)
    return tuple(point.recipe for point in points(recipe, preset=preset))


def _table(model: ChoiceTable | GroupTable, name: str) -> QTableView:
    table = row_table(QTableView(), model, name, 30)
    table.setWordWrap(False)
    header = table.horizontalHeader()
    header.setHighlightSections(False)
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    return table
