"""Train: settings, start and stop, the queue, live curves, the list of runs."""

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QInputDialog, QSplitter

from studio.app.baseline import known
from studio.core import events
from studio.core.errors import StudioError
from studio.core.recipe import Recipe, Training
from studio.core.run import Run
from studio.ui.i18n.language import tr
from studio.ui.pages.base import Page
from studio.ui.pages.train.lr_advice import RateHelp
from studio.ui.pages.train.plots_card import Curves
from studio.ui.pages.train.queue_card import QueueCard
from studio.ui.pages.train.run_list import RunList
from studio.ui.pages.train.run_watcher import LiveRun
from studio.ui.services.background import Turns
from studio.ui.services.trainer import RunRow
from studio.ui.services.workspace import Workspace
from studio.ui.shared.config_form import Form
from studio.ui.shared.grad_norms import Pulls
from studio.ui.style.icons import Tint
from studio.ui.widgets.components import Card, Column, Row, button, holder, scrolled

COMMON = ("epochs", "batch_size", "learning_rate", "patience", "class_weights", "device")
TOGETHER = 6
"""So many runs have colours of their own."""


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
        self._others: dict[str, LiveRun] = {}
        self._to_beat: float | None = None
        self._turns = Turns(self)
        self._listed: tuple[events.Evaluation | None, bool] = (None, False)
        self._build()
        self._connect()
        self._show_recipe(workspace.recipe)
        self._show_runs(workspace.runs.rows)

    # building

    def _build(self) -> None:
        self.form = Form(Training, COMMON, fold=tr("Advanced"))
        self.form.edited.connect(lambda name, value: self.workspace.set_value(f"training.{name}", value))
        self.rate_help = RateHelp(self.workspace)
        self.rate_help.wanted.connect(self._set)
        inner = holder(Column(self.form, self.rate_help, None, gap=12, margins=(0, 0, 10, 0)))
        settings = Card(tr("Settings"), (scrolled(inner), 1))
        self.queue = QueueCard(self.workspace.queue)
        left_side = holder(Column((settings, 1), self.queue, self._buttons(), gap=10))
        left_side.setFixedWidth(312)
        self.curves, self.list = Curves(), RunList(self.workspace.runs)
        right = QSplitter(Qt.Orientation.Vertical)
        right.setChildrenCollapsible(False)
        right.addWidget(self.curves)
        right.addWidget(self.list)
        right.setSizes([560, 170])
        right.setStretchFactor(0, 1)
        self.fill(Row(left_side, (right, 1), gap=14))

    def _buttons(self) -> Column:
        trainer = self.workspace.trainer
        self.start_button = button(tr("Start training"), self.start, "train", "primary")
        self.start_button.setToolTip(tr("Begin a new run of this recipe (Ctrl+R)"))
        self.pause_button = button(tr("Pause"), self._pause)
        self.pause_tint = Tint(self.pause_button, "pause", "text")
        self.pause_button.setToolTip(tr("Wait after this step; memory is kept, and a checkpoint is written"))
        self.stop_button = button(tr("Stop"), trainer.stop, "stop", "danger")
        self.stop_button.setToolTip(tr("Stop after this step and keep a checkpoint, to resume from later (Ctrl+.)"))
        self.save_button = button(tr("Checkpoint now"), trainer.save_now, "save")
        self.save_button.setToolTip(tr("Write a checkpoint after this step, and go on"))
        self.resume_button = button(tr("Resume"), self.resume, "resume")
        self.resume_button.setToolTip(tr("Go on with the chosen run from its last checkpoint"))
        self.more_button = button(tr("Train further…"), self._train_further, "resume")
        self.more_button.setToolTip(tr("Give the chosen run, which is complete, more epochs"))
        self.queue_button = button(tr("Add to queue"), self._enqueue, "plus")
        self.queue_button.setToolTip(tr("Let a frozen copy of this recipe train when its turn comes"))
        upper = Row(self.start_button, self.pause_button, self.stop_button, gap=10)
        lower = Row(self.save_button, self.resume_button, self.more_button, self.queue_button, gap=10)
        return Column(upper, lower, gap=10)

    def _connect(self) -> None:
        workspace, trainer = self.workspace, self.workspace.trainer
        workspace.document.changed.connect(self._show_recipe)
        trainer.preparing.connect(self._preparing)
        trainer.began.connect(lambda run: self._began())
        trainer.asked.connect(self._advanced)
        trainer.ended.connect(lambda run: self._ended())
        trainer.failed.connect(lambda words: self.notice.say(words, "bad"))
        workspace.queue.failed.connect(lambda words: self.notice.say(words, "bad"))
        workspace.runs.changed.connect(self._show_runs)
        workspace.runs.selected_changed.connect(lambda run: self._follow())
        self.list.picked.connect(self._compare)
        self.live.advanced.connect(self._advanced)
        self.live.switched.connect(self._switched)

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

    def _pause(self) -> None:
        trainer = self.workspace.trainer
        trainer.go_on() if trainer.paused else trainer.pause()

    def _enqueue(self) -> None:
        self.workspace.queue.add(self.workspace.recipe)

    def _train_further(self) -> None:
        run = self.workspace.runs.selected
        if run is None or self.workspace.trainer.running:
            return
        had = self.live.history.epoch
        words = tr("The run has had {n} epochs. How many shall it have in all?", n=had)
        epochs, sure = QInputDialog.getInt(self, tr("Train further"), words, had + 5, had + 1, 100_000)
        if sure:
            self.workspace.trainer.resume(run, epochs)

    def _set(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            self.workspace.set_value(f"training.{name}", value)

    # what the trainer does

    def _preparing(self) -> None:
        self.live.follow(None, live=False)
        self.notice.say("")
        self.curves.show_checking()
        self._show_buttons()

    def _began(self) -> None:
        self.live.follow(self.workspace.trainer.run, live=True)
        self._show_buttons()

    def _ended(self) -> None:
        self.live.stop()
        self.workspace.pulled.emit(Pulls())
        self._show_buttons()
        if self.live.history.started is None:
            self.curves.show_nothing()
            self._follow()

    # showing

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: the page comes into view."""
        super().showEvent(event)
        self._follow()

    def _show_recipe(self, recipe: Recipe) -> None:
        self.form.show_values(recipe.training.model_dump())

    def _show_runs(self, rows: tuple[RunRow, ...]) -> None:
        runs = self.workspace.runs
        if runs.selected is None and rows and not self.workspace.trainer.running:
            runs.select(rows[0].run)
        row = runs.row(runs.selected)
        if row is not None and self.live.run is not None and row.run.path == self.live.run.path:
            self._keep_up(row)
        self._show_buttons()

    def _keep_up(self, row: RunRow) -> None:
        """Another program trains the run that is shown, or does so no more."""
        if row.live and not self.live.live:
            self.live.go_on()
        elif self.live.live and not row.live and not self.workspace.trainer.trains(row.run):
            self.live.stop()

    def _follow(self) -> None:
        """Show the run that the pages look at."""
        runs = self.workspace.runs
        selected, shown = runs.selected, self.live.run
        if self.isVisible() and selected is not None and (shown is None or shown.path != selected.path):
            row = runs.row(selected)
            self.live.follow(selected, live=self.workspace.trainer.trains(selected) or bool(row and row.live))
        elif selected is None and shown is not None and not shown.path.is_dir():
            self.live.follow(None, live=False)
        self._show_buttons()

    def _compare(self, rows: Sequence[RunRow]) -> None:
        """Draw the runs that are selected beside the one that is shown."""
        wanted = {row.name: row for row in rows[1:TOGETHER]}
        for name in set(self._others) - set(wanted):
            self._others.pop(name).deleteLater()
        for name, row in wanted.items():
            if name not in self._others:
                other = self._others[name] = LiveRun(self.workspace.runs.lane, self)
                other.advanced.connect(self._draw)
                other.follow(row.run, row.live)
        self._draw()

    def _show_buttons(self) -> None:
        trainer, row = self.workspace.trainer, self.workspace.runs.row(self.workspace.runs.selected)
        running, free = trainer.running, not trainer.running and row is not None and not row.live
        self.start_button.setVisible(not running)
        for shown in (self.pause_button, self.stop_button, self.save_button):
            shown.setVisible(running)
        for able in (self.pause_button, self.stop_button):
            able.setEnabled(running and not trainer.stopping)
        self.save_button.setEnabled(running and not trainer.stopping and not trainer.paused)
        self.pause_button.setText(tr("Go on") if trainer.paused else tr("Pause"))
        self.pause_tint.show("resume" if trainer.paused else "pause")
        self.resume_button.setVisible(free and row is not None and row.resumable)
        self.more_button.setVisible(free and row is not None and row.state == "completed")
        self.queue_button.setVisible(True)

    def _switched(self) -> None:
        self._to_beat = _to_beat(self.live.run)
        self._advanced()

    def _advanced(self) -> None:
        history, trainer = self.live.history, self.workspace.trainer
        here = trainer.trains(self.live.run)
        if self.live.reading:
            self.curves.show_reading()
        elif history.started is not None or here:
            asked = here and trainer.stopping, here and trainer.paused
            self.curves.show_run(history, self.live.live, *asked, self._to_beat)
        elif not trainer.running:
            self.curves.show_nothing()
        self._draw()
        self._show_buttons()
        self.workspace.pulled.emit(Pulls(history.norms, history.unmoved) if here else Pulls())
        if (history.last, history.paused) != self._listed:
            self._listed = history.last, history.paused
            self._turns.want("runs", self.workspace.runs.refresh)

    def _draw(self) -> None:
        if self.live.run is not None:
            drawn = (self.live, *self._others.values())
            self.curves.show_curves([one.history for one in drawn])
            self.list.model.show_drawn([one.run.path.name for one in drawn if one.run] if len(drawn) > 1 else [])


def _to_beat(run: Run | None) -> float | None:
    """The accuracy of a linear probe on the run's images and backbone, where it was measured."""
    try:
        baseline = known(run.recipe.data, run.recipe.backbone) if run else None
    except StudioError:
        return None
    return baseline.accuracy if baseline else None
