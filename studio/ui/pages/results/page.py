"""Results page: metrics and their images, predictions, ablation."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QLabel, QStackedWidget, QWidget

from studio.core.messages import N_
from studio.core.run import Run
from studio.ui.i18n.language import localized, tr
from studio.ui.pages.base import Page
from studio.ui.pages.registry import PageSpec, register
from studio.ui.pages.results.ablation_tab import AblationTab
from studio.ui.pages.results.confusion_tab import ConfusionTab
from studio.ui.pages.results.inference_worker import InferenceWorker
from studio.ui.pages.results.try_it_tab import TryItTab
from studio.ui.services.error_text import error_message
from studio.ui.services.workspace import Workspace
from studio.ui.shared.run_picker import RunPicker
from studio.ui.style.formatting import format_count, format_percent
from studio.ui.widgets.components import Card, EmptyState, HBox, VBox, button, container, text_label
from studio.ui.widgets.segmented_control import SegmentedControl

if TYPE_CHECKING:
    from studio.app.baseline import Baseline
    from studio.evaluation.predictions import Predictions

CONFUSION_TAB, TRY_IT_TAB, ABLATION_TAB = range(3)
_RETRY_MS = 500


class ResultsPage(Page):
    """The fourth step."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            workspace,
            tr("Results"),
            tr("Evaluation of the best checkpoint on the validation images."),
            tr("Export"),
        )
        self.picker = RunPicker(workspace.runs)
        self.header.addWidget(self.picker)
        self.header.addWidget(button(tr("Compare runs"), lambda: workspace.page_requested.emit("compare"), "results"))
        self.inference = InferenceWorker(workspace.worker, self)
        self.shown_path: Path | None = None
        self._shown_accuracy: float | None = None
        self._evaluation: tuple[Predictions, Baseline | None] | None = None
        self._pending_state: Mapping[str, Any] = {}
        self.stack = QStackedWidget()
        self.empty = EmptyState("results", tr("No run selected"), tr("Train a recipe first. Its results appear here."))
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._content())
        self.set_content(self.stack)
        workspace.runs.selected_changed.connect(self._refresh)
        workspace.runs.changed.connect(self._refresh)

    # building

    def _content(self) -> QWidget:
        self.confusion_tab = ConfusionTab(self.workspace.images.thumbnails, self.inference)
        self.confusion_tab.try_requested.connect(self.try_image)
        self.try_it_tab = TryItTab(self.workspace, self.inference)
        self.ablation_tab = AblationTab(self.workspace)
        self.views = QStackedWidget()
        for view in (self.confusion_tab, self.try_it_tab, self.ablation_tab):
            self.views.addWidget(view)
        self.view_switch = SegmentedControl(
            tr("Results view"), ((tr("Mistakes"), "results"), (tr("Try it"), "data"), (tr("Ablation"), "eye"))
        )
        self.view_switch.chosen.connect(self.views.setCurrentIndex)
        self.reevaluate_button = button(tr("Evaluate again"), self._reevaluate, "refresh")
        figures = Card("", HBox(*self._figures(), None, self.reevaluate_button, self.view_switch, gap=28), padding=12)
        return container(VBox(figures, (self.views, 1), gap=14))

    def _figures(self) -> tuple[QWidget, ...]:
        self.accuracy, self.gain, self.loss, self.images = (text_label("–", "figure") for _ in range(4))
        self.gain_figure = _figure(tr("Gain over baseline"), self.gain)
        return (
            _figure(tr("Accuracy"), self.accuracy),
            self.gain_figure,
            _figure(tr("Loss"), self.loss),
            _figure(tr("Validation images"), self.images),
        )

    # showing

    def showEvent(self, event: object) -> None:
        """Qt: the page comes into view."""
        super().showEvent(event)  # type: ignore[arg-type]
        self._refresh()

    def _refresh(self) -> None:
        """Evaluate the selected run once it has a checkpoint and the page is visible."""
        run = self.workspace.runs.selected
        row = self.workspace.runs.find(run)
        if row is None or not self.isVisible() or run is None:
            return
        if row.accuracy is None:
            self._show_empty(
                tr("No results yet"),
                tr("The first results appear after the first epoch.")
                if row.live
                else tr("Results appear once the run has been trained."),
            )
            self.shown_path = None
        elif run.path != self.shown_path:
            self._evaluate(run, row.accuracy)
        self._show_live()

    def _reevaluate(self) -> None:
        run = self.workspace.runs.selected
        row = self.workspace.runs.find(run)
        if run is not None and row is not None:
            self._evaluate(run, row.accuracy)
            self._show_live()

    def _show_live(self) -> None:
        """Show that the run is training; offer another evaluation once it improves."""
        row = self.workspace.runs.find(self.workspace.runs.selected)
        shown = row is not None and row.accuracy is not None and row.run.path == self.shown_path
        live = shown and row is not None and row.live
        self.banner.show_message(
            tr("This run is still training. These are the results of its best checkpoint so far.") if live else ""
        )
        self.reevaluate_button.setVisible(shown and row is not None and row.accuracy != self._shown_accuracy)

    def _evaluate(self, run: Run, accuracy: float | None) -> None:
        self.shown_path, self._shown_accuracy = run.path, accuracy
        self._show_empty(tr("Evaluating"), tr("The best checkpoint is evaluated on all validation images."))
        self.workspace.worker.submit(
            lambda: _evaluate_run(run),
            lambda evaluation: self._show(run, *evaluation),
            lambda e: self._show_error(run, e),
            "evaluate",
        )

    def _show_empty(self, heading: str, message: str) -> None:
        self.banner.show_message("")
        self.empty.heading.setText(heading)
        self.empty.description.setText(message)
        self.stack.setCurrentIndex(0)

    def _show(self, run: Run, predictions: "Predictions", baseline: "Baseline | None") -> None:
        if run.path != self.shown_path:
            return
        self._evaluation = predictions, baseline
        metrics = predictions.metrics
        self.accuracy.setText(format_percent(metrics.accuracy))
        self.loss.setText(f"{metrics.loss:.4f}")
        self.images.setText(format_count(metrics.images))
        self.gain_figure.setVisible(baseline is not None)
        if baseline is not None:
            self.gain.setText(tr("{points:+.1f} points", points=100 * (metrics.accuracy - baseline.accuracy)))
            self.gain.setToolTip(
                tr("Linear probe on the frozen backbone: {accuracy}", accuracy=format_percent(baseline.accuracy))
            )
        self.inference.set_run(run)
        self.confusion_tab.show_predictions(predictions)
        self.try_it_tab.reset()
        self.ablation_tab.set_run(run)
        self.stack.setCurrentIndex(1)
        self._show_live()
        self._restore_tabs()

    def _show_error(self, run: Run, error: Exception) -> None:
        row = self.workspace.runs.find(run)
        if run.path != self.shown_path:
            return
        self._show_empty(tr("This run could not be evaluated"), localized(error_message(error)))
        if row is not None and row.live:  # its checkpoint is being replaced
            self.shown_path = None
            QTimer.singleShot(_RETRY_MS, self, self._refresh)

    # predictions

    def show_view(self, number: int) -> None:
        """Show one of the tabs."""
        self.view_switch.set_current(number)
        self.views.setCurrentIndex(number)

    def try_image(self, path: Path) -> None:
        """Show the run's prediction for the image at ``path``."""
        self.show_view(TRY_IT_TAB)
        self.try_it_tab.try_image(path)

    # state that survives a rebuild of the window

    def view_state(self) -> dict[str, Any]:
        """Return the state of the tabs, and the evaluation, so that it is not repeated."""
        return {
            "tab": self.views.currentIndex(),
            "path": self.shown_path,
            "accuracy": self._shown_accuracy,
            "evaluation": self._evaluation,
            "confusion": self.confusion_tab.view_state(),
            "try_it": self.try_it_tab.view_state(),
            "ablation": self.ablation_tab.view_state(),
        }

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Look like the page that returned ``state``."""
        self.show_view(state.get("tab", CONFUSION_TAB))
        self._pending_state = state
        run, evaluation = self.workspace.runs.selected, state.get("evaluation")
        if run is not None and run.path == state.get("path") and evaluation is not None:
            self.shown_path, self._shown_accuracy = run.path, state.get("accuracy")
            self._show(run, *evaluation)

    def _restore_tabs(self) -> None:
        state, self._pending_state = self._pending_state, {}
        if state and state.get("path") == self.shown_path:
            self.confusion_tab.restore_view_state(state.get("confusion", {}))
            self.try_it_tab.restore_view_state(state.get("try_it", {}))
            self.ablation_tab.restore_view_state(state.get("ablation", {}))


def _figure(name: str, value: QLabel) -> QWidget:
    return container(VBox(text_label(name, "caption"), value, None, gap=0))


def _evaluate_run(run: Run) -> "tuple[Predictions, Baseline | None]":
    from studio.app import baseline
    from studio.evaluation.predictions import predict_split

    recipe = run.recipe
    return predict_split(run), baseline.cached_baseline(recipe.data, recipe.backbone)


PAGE = register(PageSpec("results", N_("Results"), "results", ResultsPage, "Ctrl+4", step=4))
