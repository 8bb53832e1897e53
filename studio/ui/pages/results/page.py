"""Results: how good a run is, the images behind each figure, trying images, and what each attachment is worth."""

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QLabel, QStackedWidget, QWidget

from studio.core.run import Run
from studio.ui.i18n.language import tr
from studio.ui.pages.base import Page
from studio.ui.pages.results.ablation_tab import XRayView
from studio.ui.pages.results.confusion_tab import Mistakes
from studio.ui.pages.results.inference_worker import BenchRoom
from studio.ui.pages.results.try_it_tab import TryIt
from studio.ui.services.background import sentence
from studio.ui.services.workspace import Workspace
from studio.ui.shared.run_picker import RunPicker
from studio.ui.style.formatting import count, percent
from studio.ui.widgets.components import Card, Column, Empty, Row, button, holder, text
from studio.ui.widgets.segmented_control import Segments

if TYPE_CHECKING:
    from studio.app.baseline import Baseline
    from studio.evaluation.predictions import Predictions

MISTAKES, TRY_IT, XRAY = range(3)
_AGAIN_MS = 500


class ResultsPage(Page):
    """The fourth step. ``compare_wanted`` asks for the page that compares runs."""

    compare_wanted = Signal()

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            workspace,
            tr("Results"),
            tr("A run's best checkpoint on images it was not trained on."),
            tr("Export"),
        )
        self.picker = RunPicker(workspace.runs)
        self.head.addWidget(self.picker)
        self.head.addWidget(button(tr("Compare runs"), self.compare_wanted.emit, "results"))
        self.room = BenchRoom(workspace.lane, self)
        self.shown: Path | None = None
        self._shown_accuracy: float | None = None
        self.stack = QStackedWidget()
        self.empty = Empty("results", tr("No run is chosen"), tr("Train a recipe first; its results are shown here."))
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._content())
        self.fill(self.stack)
        workspace.runs.selected_changed.connect(lambda run: self._look())
        workspace.runs.changed.connect(lambda rows: self._look())

    # building

    def _content(self) -> QWidget:
        self.mistakes = Mistakes(self.workspace.images.thumbnails, self.room)
        self.mistakes.try_wanted.connect(self.try_image)
        self.try_it = TryIt(self.workspace, self.room)
        self.xray = XRayView(self.workspace)
        self.views = QStackedWidget()
        for view in (self.mistakes, self.try_it, self.xray):
            self.views.addWidget(view)
        self.which = Segments(
            tr("What to look at"), ((tr("Mistakes"), "results"), (tr("Try it"), "data"), (tr("X-ray"), "eye"))
        )
        self.which.chosen.connect(self.views.setCurrentIndex)
        self.again = button(tr("Look again"), self._look_again, "refresh")
        figures = Card("", Row(*self._figures(), None, self.again, self.which, gap=28), padding=12)
        return holder(Column(figures, (self.views, 1), gap=14))

    def _figures(self) -> tuple[QWidget, ...]:
        self.accuracy, self.gain, self.loss, self.images = (text("–", "figure") for _ in range(4))
        self.gain_figure = _figure(tr("Against the baseline"), self.gain)
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
        self._look()

    def _look(self) -> None:
        """Evaluate the chosen run, once it is in view and has something to evaluate."""
        run = self.workspace.runs.selected
        row = self.workspace.runs.row(run)
        if row is None or not self.isVisible() or run is None:
            return
        if row.accuracy is None:
            words = tr("Its first results are there after the first epoch.") if row.live else ""
            self._say_empty(
                tr("This run has no result yet"), words or tr("Results are shown once it has been trained.")
            )
            self.shown = None
        elif run.path != self.shown:
            self._evaluate(run, row.accuracy)
        self._show_live()

    def _look_again(self) -> None:
        run = self.workspace.runs.selected
        row = self.workspace.runs.row(run)
        if run is not None and row is not None:
            self._evaluate(run, row.accuracy)
            self._show_live()

    def _show_live(self) -> None:
        """While the run still trains, say so; where it has become better, offer to look again."""
        row = self.workspace.runs.row(self.workspace.runs.selected)
        shown = row is not None and row.accuracy is not None and row.run.path == self.shown
        live = shown and row is not None and row.live
        self.notice.say(
            tr("This run still trains. These are the results of its best checkpoint so far.") if live else ""
        )
        self.again.setVisible(shown and row is not None and row.accuracy != self._shown_accuracy)

    def _evaluate(self, run: Run, accuracy: float | None) -> None:
        self.shown, self._shown_accuracy = run.path, accuracy
        self._say_empty(tr("Evaluating"), tr("The best checkpoint looks at every validation image."))
        self.workspace.lane.submit(
            lambda: _evaluated(run), lambda found: self._show(run, *found), lambda e: self._fail(run, e), "evaluate"
        )

    def _say_empty(self, heading: str, words: str) -> None:
        self.notice.say("")
        self.empty.heading.setText(heading)
        self.empty.sentence.setText(words)
        self.stack.setCurrentIndex(0)

    def _show(self, run: Run, found: "Predictions", baseline: "Baseline | None") -> None:
        if run.path != self.shown:
            return
        metrics = found.metrics
        self.accuracy.setText(percent(metrics.accuracy))
        self.loss.setText(f"{metrics.loss:.4f}")
        self.images.setText(count(metrics.images))
        self.gain_figure.setVisible(baseline is not None)
        if baseline is not None:
            self.gain.setText(tr("{points:+.1f} points", points=100 * (metrics.accuracy - baseline.accuracy)))
            self.gain.setToolTip(
                tr("The frozen backbone alone reaches {accuracy}.", accuracy=percent(baseline.accuracy))
            )
        self.room.take(run)
        self.mistakes.show_found(found)
        self.try_it.begin()
        self.xray.begin(run)
        self.stack.setCurrentIndex(1)
        self._show_live()

    def _fail(self, run: Run, error: Exception) -> None:
        row = self.workspace.runs.row(run)
        if run.path != self.shown:
            return
        self._say_empty(tr("This run could not be evaluated"), sentence(error))
        if row is not None and row.live:  # its checkpoint was just being replaced
            self.shown = None
            QTimer.singleShot(_AGAIN_MS, self, self._look)

    # trying images

    def show_view(self, number: int) -> None:
        """Bring one of the views to the front."""
        self.which.show_chosen(number)
        self.views.setCurrentIndex(number)

    def try_image(self, path: Path) -> None:
        """Show what the run takes the image at ``path`` for."""
        self.show_view(TRY_IT)
        self.try_it.try_image(path)


def _figure(name: str, value: QLabel) -> QWidget:
    return holder(Column(text(name, "caption"), value, gap=0))


def _evaluated(run: Run) -> "tuple[Predictions, Baseline | None]":
    from studio.app import baseline
    from studio.evaluation.predictions import predict_split

    recipe = run.recipe
    return predict_split(run), baseline.known(recipe.data, recipe.backbone)
