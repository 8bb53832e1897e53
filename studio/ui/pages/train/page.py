"""Train page: settings, start and stop, queue, live curves, list of runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QInputDialog, QSplitter

from studio.app.baseline import cached_baseline
from studio.core import events
from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.core.recipe import Recipe, Training
from studio.core.run import Run
from studio.ui.i18n.language import tr, tr_n
from studio.ui.pages.base import Page
from studio.ui.pages.registry import PageSpec, register
from studio.ui.pages.train.lr_advice import LRAdvice
from studio.ui.pages.train.plots_card import PlotsCard
from studio.ui.pages.train.queue_card import QueueCard
from studio.ui.pages.train.run_list import RunList
from studio.ui.pages.train.run_watcher import RunWatcher
from studio.ui.services.background import FrameScheduler
from studio.ui.services.trainer import RunRow
from studio.ui.services.workspace import Workspace
from studio.ui.shared.config_form import ConfigForm
from studio.ui.shared.grad_norms import GradNorms
from studio.ui.style.icons import IconTint
from studio.ui.widgets.components import Card, HBox, VBox, button, container, scroll_area
from studio.ui.widgets.scroll import restore_scroll

COMMON_FIELDS = ("epochs", "batch_size", "learning_rate", "patience", "class_weights", "device")
MAX_RUNS_DRAWN = 6
"""Number of runs with colors of their own."""


class TrainPage(Page):
    """The third step."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            workspace,
            tr("Train"),
            tr("A frozen copy of the recipe is trained; you can continue editing meanwhile."),
            tr("Results"),
        )
        self.watcher = RunWatcher(workspace.runs.worker, self)
        self._other_watchers: dict[str, RunWatcher] = {}
        self._baseline_accuracy: float | None = None
        self._scheduler = FrameScheduler(self)
        self._listed_state: tuple[events.Evaluation | None, bool] = (None, False)
        self._build()
        self._connect()
        self._show_recipe(workspace.recipe)
        self._show_runs(workspace.runs.rows)

    # building

    def _build(self) -> None:
        self.form = ConfigForm(Training, COMMON_FIELDS, section_title=tr("Advanced"))
        self.form.edited.connect(lambda name, value: self.workspace.set_value(f"training.{name}", value))
        self.lr_advice = LRAdvice(self.workspace)
        self.lr_advice.change_requested.connect(self._set_values)
        inner = container(VBox(self.form, self.lr_advice, None, gap=12, margins=(0, 0, 10, 0)))
        self.settings_area = scroll_area(inner)
        settings = Card(tr("Settings"), (self.settings_area, 1))
        self.queue_card = QueueCard(self.workspace.queue)
        left_side = container(VBox((settings, 1), self.queue_card, self._buttons(), gap=10))
        left_side.setFixedWidth(312)
        self.plots_card, self.run_list = PlotsCard(), RunList(self.workspace.runs)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.plots_card)
        self.splitter.addWidget(self.run_list)
        self.splitter.setSizes([560, 170])
        self.splitter.setStretchFactor(0, 1)
        self.set_content(HBox(left_side, (self.splitter, 1), gap=14))

    def _buttons(self) -> VBox:
        trainer = self.workspace.trainer
        self.start_button = button(tr("Start training"), self.start, "train", "primary")
        self.start_button.setToolTip(tr("Start a new run of this recipe (Ctrl+R)"))
        self.pause_button = button(tr("Pause"), self._pause)
        self.pause_tint = IconTint(self.pause_button, "pause", "text")
        self.pause_button.setToolTip(tr("Pause after this step; keeps the memory and writes a checkpoint"))
        self.stop_button = button(tr("Stop"), trainer.stop, "stop", "danger")
        self.stop_button.setToolTip(tr("Stop after this step with a checkpoint to resume from (Ctrl+.)"))
        self.save_button = button(tr("Save checkpoint"), trainer.request_checkpoint, "save")
        self.save_button.setToolTip(tr("Write a checkpoint after this step and continue"))
        self.resume_button = button(tr("Resume"), self.resume, "resume")
        self.resume_button.setToolTip(tr("Resume the selected run from its last checkpoint"))
        self.train_more_button = button(tr("Add epochs…"), self._train_further, "resume")
        self.train_more_button.setToolTip(tr("Train the completed run for more epochs"))
        self.queue_button = button(tr("Add to queue"), self._enqueue, "plus")
        self.queue_button.setToolTip(tr("Queue a frozen copy of this recipe"))
        upper = HBox(self.start_button, self.pause_button, self.stop_button, gap=10)
        lower = HBox(self.save_button, self.resume_button, self.train_more_button, self.queue_button, gap=10)
        return VBox(upper, lower, gap=10)

    def _connect(self) -> None:
        workspace, trainer = self.workspace, self.workspace.trainer
        workspace.document.changed.connect(self._show_recipe)
        trainer.preparing.connect(self._preparing)
        trainer.started.connect(self._started)
        trainer.request_changed.connect(self._update_run)
        trainer.ended.connect(self._ended)
        trainer.failed.connect(self._show_error)
        workspace.queue.failed.connect(self._show_error)
        workspace.runs.changed.connect(self._show_runs)
        workspace.runs.selected_changed.connect(self._watch_selected)
        self.run_list.selection_changed.connect(self._draw_selected)
        self.watcher.updated.connect(self._update_run)
        self.watcher.run_changed.connect(self._run_changed)

    # actions

    def start(self) -> None:
        """Train the current recipe."""
        if not self.workspace.trainer.running:
            self.workspace.trainer.start(self.workspace.recipe)

    def resume(self) -> None:
        """Resume the selected run."""
        run = self.workspace.runs.selected
        if run is not None and not self.workspace.trainer.running:
            self.workspace.trainer.resume(run)

    def _pause(self) -> None:
        trainer = self.workspace.trainer
        trainer.unpause() if trainer.paused else trainer.pause()

    def _enqueue(self) -> None:
        self.workspace.queue.add(self.workspace.recipe)

    def _train_further(self) -> None:
        run = self.workspace.runs.selected
        if run is None or self.workspace.trainer.running:
            return
        completed = self.watcher.history.epoch
        prompt = tr_n(
            "The run has completed {n} epoch. Train until epoch:",
            "The run has completed {n} epochs. Train until epoch:",
            completed,
        )
        epochs, accepted = QInputDialog.getInt(self, tr("Add epochs"), prompt, completed + 5, completed + 1, 100_000)
        if accepted:
            self.workspace.trainer.resume(run, epochs)

    def _set_values(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            self.workspace.set_value(f"training.{name}", value)

    # events of the trainer

    def _preparing(self) -> None:
        self.watcher.watch(None, live=False)
        self.banner.show_message("")
        self.plots_card.show_checking()
        self._show_buttons()

    def _show_error(self, message: str) -> None:
        self.banner.show_message(message, "bad")

    def _started(self) -> None:
        self.watcher.watch(self.workspace.trainer.run, live=True)
        self._show_buttons()

    def _ended(self) -> None:
        self.watcher.stop()
        self.workspace.grad_norms_changed.emit(GradNorms())
        self._show_buttons()
        if self.watcher.history.started is None:
            self.plots_card.show_nothing()
            self._watch_selected()

    # showing

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: the page comes into view."""
        super().showEvent(event)
        if self.workspace.trainer.running and self.workspace.trainer.run is None:
            self._preparing()
        self._watch_selected()

    def _show_recipe(self, recipe: Recipe) -> None:
        self.form.show_values(recipe.training.model_dump())

    def _show_runs(self, rows: tuple[RunRow, ...]) -> None:
        runs = self.workspace.runs
        if runs.selected is None and rows and not self.workspace.trainer.running:
            runs.select(rows[0].run)
        row = runs.find(runs.selected)
        if row is not None and self.watcher.run is not None and row.run.path == self.watcher.run.path:
            self._sync_live_state(row)
        self._show_buttons()

    def _sync_live_state(self, row: RunRow) -> None:
        """Follow or stop following a run that another program trains."""
        if row.live and not self.watcher.live:
            self.watcher.resume()
        elif self.watcher.live and not row.live and not self.workspace.trainer.is_training(row.run):
            self.watcher.stop()

    def _watch_selected(self) -> None:
        """Show the run that is selected for all pages."""
        runs = self.workspace.runs
        selected, shown = runs.selected, self.watcher.run
        if self.isVisible() and selected is not None and (shown is None or shown.path != selected.path):
            row = runs.find(selected)
            self.watcher.watch(selected, live=self.workspace.trainer.is_training(selected) or bool(row and row.live))
        elif selected is None and shown is not None and not shown.path.is_dir():
            self.watcher.watch(None, live=False)
        self._show_buttons()

    def _draw_selected(self, rows: Sequence[RunRow]) -> None:
        """Draw the other selected runs beside the current one."""
        others = {row.name: row for row in rows[1:MAX_RUNS_DRAWN]}
        for name in set(self._other_watchers) - set(others):
            self._other_watchers.pop(name).deleteLater()
        for name, row in others.items():
            if name not in self._other_watchers:
                other = self._other_watchers[name] = RunWatcher(self.workspace.runs.worker, self)
                other.updated.connect(self._draw)
                other.watch(row.run, row.live)
        self._draw()

    def _show_buttons(self) -> None:
        trainer, row = self.workspace.trainer, self.workspace.runs.find(self.workspace.runs.selected)
        running, free = trainer.running, not trainer.running and row is not None and not row.live
        self.start_button.setVisible(not running)
        for running_button in (self.pause_button, self.stop_button, self.save_button):
            running_button.setVisible(running)
        for stop_or_pause in (self.pause_button, self.stop_button):
            stop_or_pause.setEnabled(running and not trainer.stopping)
        self.save_button.setEnabled(running and not trainer.stopping and not trainer.paused)
        self.pause_button.setText(tr("Resume") if trainer.paused else tr("Pause"))
        self.pause_tint.show("resume" if trainer.paused else "pause")
        self.resume_button.setVisible(free and row is not None and row.resumable)
        self.train_more_button.setVisible(free and row is not None and row.state == "completed")
        self.queue_button.setVisible(True)

    def _run_changed(self) -> None:
        self._baseline_accuracy = _baseline_accuracy_of(self.watcher.run)
        self._update_run()

    def _update_run(self) -> None:
        history, trainer = self.watcher.history, self.workspace.trainer
        here = trainer.is_training(self.watcher.run)
        if self.watcher.reading:
            self.plots_card.show_reading()
        elif history.started is not None or here:
            requests = here and trainer.stopping, here and trainer.paused
            self.plots_card.show_run(history, self.watcher.live, *requests, self._baseline_accuracy)
        elif not trainer.running:
            self.plots_card.show_nothing()
        self._draw()
        self._show_buttons()
        self.workspace.grad_norms_changed.emit(
            GradNorms(history.grad_norms, history.without_gradient) if here else GradNorms()
        )
        if (history.last_evaluation, history.paused) != self._listed_state:
            self._listed_state = history.last_evaluation, history.paused
            self._scheduler.schedule("runs", self.workspace.runs.reload)

    def _draw(self) -> None:
        if self.watcher.run is not None:
            drawn = (self.watcher, *self._other_watchers.values())
            self.plots_card.show_curves([one.history for one in drawn])
            self.run_list.model.show_drawn([one.run.path.name for one in drawn if one.run] if len(drawn) > 1 else [])

    # state that survives a rebuild of the window

    def view_state(self) -> dict[str, Any]:
        """Return overlaid runs, plots, open sections, scroll position and sizes."""
        fold = self.form.advanced_section
        return {
            "overlaid": list(self._other_watchers),
            "plots": self.plots_card.view_state(),
            "advanced_open": fold is not None and fold.header.isChecked(),
            "settings_scroll": self.settings_area.verticalScrollBar().value(),
            "queue_row": self.queue_card.list.currentRow(),
            "sizes": self.splitter.sizes(),
        }

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Look like the page that returned ``state``."""
        self.plots_card.restore_view_state(state.get("plots", {}))
        if (fold := self.form.advanced_section) is not None:
            fold.header.setChecked(state.get("advanced_open", False))
        self.queue_card.list.setCurrentRow(state.get("queue_row", 0))
        self.splitter.setSizes(state.get("sizes", []))
        self.run_list.add_to_selection(state.get("overlaid", ()))
        restore_scroll(self.settings_area, state.get("settings_scroll", 0))


def _baseline_accuracy_of(run: Run | None) -> float | None:
    """Return the cached accuracy of the run's linear probe, or None."""
    try:
        baseline = cached_baseline(run.recipe.data, run.recipe.backbone) if run else None
    except StudioError:
        return None
    return baseline.accuracy if baseline else None


def _is_done(workspace: Workspace) -> bool:
    row = workspace.runs.find(workspace.runs.selected)
    return row is not None and row.state == "completed"


PAGE = register(PageSpec("train", N_("Train"), "train", TrainPage, "Ctrl+3", step=3, is_done=_is_done))
