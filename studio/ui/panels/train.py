"""Train: settings, start and stop, live curves, the list of runs."""

import math
from typing import TYPE_CHECKING

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHeaderView,
    QProgressBar,
    QSplitter,
    QStackedWidget,
    QTableView,
    QWidget,
)

from studio.core import events
from studio.core.recipe import Recipe, Training
from studio.ui.figures import duration, percent
from studio.ui.forms import Form
from studio.ui.history import Curve
from studio.ui.jobs import Turns
from studio.ui.language import tr
from studio.ui.live import LiveRun
from studio.ui.models.runs import RunTable
from studio.ui.models.table import ROW_ROLE
from studio.ui.panels.page import Page
from studio.ui.training import RunRow
from studio.ui.widgets.parts import Card, Column, Empty, Notice, Row, button, holder, scrolled, text
from studio.ui.workspace import Workspace

if TYPE_CHECKING:
    from studio.ui.widgets.plots import Plot

COMMON = ("epochs", "batch_size", "learning_rate", "patience", "class_weights", "device")


class TrainPage(Page):
    """The third step."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            workspace,
            tr("Train"),
            tr("A frozen copy of the recipe is what runs; you can go on editing meanwhile."),
            tr("Results"),
        )
        self.live = LiveRun(workspace.runs.lane, self)
        self._last_evaluation: events.Evaluation | None = None
        self.run_model = RunTable(self)
        self._build()
        workspace.document.changed.connect(self._show_recipe)
        workspace.trainer.preparing.connect(self._preparing)
        workspace.trainer.began.connect(self._began)
        workspace.trainer.ended.connect(self._ended)
        workspace.trainer.failed.connect(lambda words: self.notice.say(words, "bad"))
        workspace.runs.changed.connect(self._show_runs)
        workspace.runs.selected_changed.connect(self._select)
        self._turns = Turns(self)
        self.live.advanced.connect(self._advanced)
        self.live.switched.connect(self._advanced)
        self._show_recipe(workspace.recipe)
        self._show_runs(workspace.runs.rows)
        self._show_buttons()

    # building

    def _build(self) -> None:
        self.form = Form(Training, COMMON, fold=tr("Advanced"))
        self.form.edited.connect(lambda name, value: self.workspace.set_value(f"training.{name}", value))
        self.start_button = button(tr("Start training"), self.start, "train", "primary")
        self.start_button.setToolTip(tr("Begin a new run of this recipe (Ctrl+R)"))
        self.stop_button = button(tr("Stop"), self.workspace.trainer.stop, "stop", "danger")
        self.stop_button.setToolTip(tr("Stop after this step and keep a checkpoint, to resume from later (Ctrl+.)"))
        self.resume_button = button(tr("Resume"), self.resume, "resume")
        self.resume_button.setToolTip(tr("Go on with the chosen run from its last checkpoint"))
        settings = Card(tr("Settings"), (scrolled(holder(Column(self.form, None, margins=(0, 0, 10, 0)))), 1))
        left = Column((settings, 1), self.start_button, self.stop_button, self.resume_button, gap=10)
        left_side = holder(left)
        left_side.setFixedWidth(312)
        right = QSplitter(Qt.Orientation.Vertical)
        right.setHandleWidth(14)
        right.setChildrenCollapsible(False)
        right.addWidget(self._curves())
        right.addWidget(self._runs())
        right.setSizes([520, 180])
        right.setStretchFactor(0, 1)
        self.fill(Row(left_side, (right, 1), gap=14))

    def _curves(self) -> QWidget:
        self.stage = text("", "heading")
        self.detail = text("", "muted")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.warning = Notice()
        self.plots = QWidget()
        self.plots.setLayout(QGridLayout())
        self._made_plots = False
        self.empty = Empty(
            "results",
            tr("Nothing is trained yet"),
            tr("Press Start training. Loss, accuracy and learning rate are drawn here while it goes on."),
        )
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        head = Column(Row(self.stage, None, self.detail), self.bar, self.warning, gap=8)
        self.stack.addWidget(holder(Column(head, (self.plots, 1), gap=12)))
        return Card("", (self.stack, 1))

    def make_plots(self) -> None:
        """Make the plots; imports pyqtgraph, which takes a moment."""
        if self._made_plots:
            return
        from studio.ui.widgets.plots import Plot

        self._made_plots = True
        lines = ((tr("training"), "accent", False), (tr("validation"), "adapter", True))
        self.loss = Plot(tr("Loss"), lines, bottom=0)
        self.accuracy = Plot(tr("Accuracy"), ((tr("training"), "accent", True), lines[1]), bottom=0)
        self.rate = Plot(tr("Learning rate"), ((tr("learning rate"), "second", False),), bottom=0)
        grid = self.plots.layout()
        assert isinstance(grid, QGridLayout)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(20)
        grid.addWidget(self.loss, 0, 0)
        grid.addWidget(self.accuracy, 0, 1)
        grid.addWidget(self.rate, 1, 0, 1, 2)
        grid.setRowStretch(0, 3)
        grid.setRowStretch(1, 1)

    def _runs(self) -> QWidget:
        table = self.table = QTableView()
        table.setModel(self.run_model)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setShowGrid(False)
        table.setAccessibleName(tr("Runs"))
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(30)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in ((1, 104), (2, 130), (3, 120), (4, 110)):
            table.setColumnWidth(column, width)
        table.selectionModel().currentChanged.connect(self._row_chosen)
        self.no_runs = text(
            tr("Runs are listed here, old and new. Each is a folder that keeps its own recipe."), "muted", wrap=True
        )
        self.no_runs.setAlignment(Qt.AlignmentFlag.AlignTop)
        return Card(tr("Runs"), (self.no_runs, 1), (table, 1), padding=14)

    # acting

    def start(self) -> None:
        """Train the recipe as it is now."""
        if not self.workspace.trainer.running:
            self.workspace.trainer.start(self.workspace.recipe)

    def resume(self) -> None:
        """Go on with the chosen run."""
        run = self.workspace.runs.selected
        if run is not None and not self.workspace.trainer.running:
            self.workspace.trainer.resume(run)

    def _preparing(self) -> None:
        self.make_plots()
        self.live.follow(None, live=False)
        self.notice.say("")
        self.stage.setText(tr("Checking the recipe"))
        self.detail.setText("")
        self.bar.setValue(0)
        self.stack.setCurrentIndex(1)
        self._show_buttons()

    def _began(self, run: object) -> None:
        self.live.follow(self.workspace.trainer.run, live=True)
        self._show_buttons()

    def _ended(self, run: object) -> None:
        self.live.stop()
        self._show_buttons()
        if self.live.history.started is None:
            self.stack.setCurrentIndex(0)

    # showing

    def _show_recipe(self, recipe: Recipe) -> None:
        self.form.show_values(recipe.training.model_dump())

    def _show_runs(self, rows: tuple[RunRow, ...]) -> None:
        self.run_model.show_rows(rows)
        self.no_runs.setVisible(not rows)
        self.table.setVisible(bool(rows))
        if self.workspace.runs.selected is None and rows and not self.workspace.trainer.running:
            self.workspace.runs.select(rows[0].run)
        self._mark_selected()
        self._show_buttons()

    def _row_chosen(self, current: QModelIndex) -> None:
        if current.isValid():
            self.workspace.runs.select(current.data(ROW_ROLE).run)

    def _select(self, run: object) -> None:
        self._mark_selected()
        selected = self.workspace.runs.selected
        if selected is not None and self.isVisible():
            self._follow()
        self._show_buttons()

    def showEvent(self, event: object) -> None:
        """Qt: the page comes into view."""
        super().showEvent(event)  # type: ignore[arg-type]
        self._follow()

    def _follow(self) -> None:
        selected, trainer = self.workspace.runs.selected, self.workspace.trainer
        if selected is None or (self.live.run is not None and self.live.run.path == selected.path):
            return
        self.make_plots()
        live = trainer.running and trainer.run is not None and trainer.run.path == selected.path
        self.live.follow(selected, live)

    def _mark_selected(self) -> None:
        selected = self.workspace.runs.selected
        row = self.run_model.row_of(selected.path.name) if selected else -1
        if row >= 0 and self.table.currentIndex().row() != row:
            flags = QItemSelectionModel.SelectionFlag
            self.table.selectionModel().setCurrentIndex(self.run_model.index(row, 0), flags.ClearAndSelect | flags.Rows)

    def _show_buttons(self) -> None:
        trainer, row = self.workspace.trainer, self.workspace.runs.row(self.workspace.runs.selected)
        self.start_button.setVisible(not trainer.running)
        self.stop_button.setVisible(trainer.running)
        self.stop_button.setEnabled(trainer.running and not trainer.stopping)
        self.resume_button.setVisible(row is not None and row.resumable and not trainer.running)

    def _advanced(self) -> None:
        history = self.live.history
        self.stack.setCurrentIndex(1 if history.started or self.workspace.trainer.running else 0)
        self.stage.setText(self._stage())
        self.detail.setText(self._detail())
        self.bar.setValue(round(1000 * history.progress))
        self.warning.say(*_warning(self.live))
        if self._made_plots:
            self._draw(self.loss, history.training_loss, history.validation_loss)
            self._draw(self.accuracy, history.training_accuracy, history.validation_accuracy)
            self._draw(self.rate, history.learning_rate)
        if self.workspace.trainer.stopping:
            self._show_buttons()
        if history.last is not self._last_evaluation:
            self._last_evaluation = history.last
            self.workspace.runs.refresh()

    def _draw(self, plot: "Plot", *curves: Curve) -> None:
        self._turns.want(plot.title, lambda: plot.show_curves(*curves))

    def _stage(self) -> str:
        history = self.live.history
        if history.started is None:
            return tr("Preparing")
        if isinstance(history.ended, events.Finished):
            time = duration(history.ended.seconds)
            completed = history.ended.reason == "completed"
            return tr("Finished after {time}", time=time) if completed else tr("Stopped after {time}", time=time)
        if isinstance(history.ended, events.Error):
            return tr("Ended with an error")
        if self.workspace.trainer.stopping:
            return tr("Stopping after this step")
        return tr("Epoch {n} of {all}", n=max(1, history.epoch), all=history.started.epochs)

    def _detail(self) -> str:
        history = self.live.history
        parts = []
        if history.started:
            parts.append(tr("step {n:,} of {all:,}", n=history.step, all=history.started.steps))
        if history.best:
            parts.append(tr("best validation accuracy {share}", share=percent(history.best.accuracy)))
        if history.ended is None and history.images_per_second:
            parts.append(tr("{n:,.0f} images/s", n=history.images_per_second))
        if history.ended is None and not math.isnan(history.seconds_left):
            parts.append(tr("{time} left", time=duration(history.seconds_left)))
        return "   ·   ".join(parts)


def _warning(live: LiveRun) -> tuple[str, str]:
    history = live.history
    if isinstance(history.ended, events.Error):
        return tr(history.ended.text), "bad"
    return (tr(history.notes[-1]), "warn") if history.notes else ("", "warn")
