"""Results: accuracy, mistakes by class, and a place to try images."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QFileDialog, QHeaderView, QLabel, QStackedWidget, QTableView, QWidget

from studio.core.run import Run
from studio.ui.figures import count, percent
from studio.ui.thumbnails import small_picture
from studio.ui.jobs import sentence
from studio.ui.language import tr
from studio.ui.models.classes import ClassTable
from studio.ui.panels.page import Page
from studio.ui.panels.run_picker import RunPicker
from studio.ui.widgets.confusion import Confusion
from studio.ui.widgets.drop_zone import DropZone
from studio.ui.widgets.parts import Card, Column, Empty, Notice, Row, button, holder, text
from studio.ui.widgets.share_bars import ShareBars
from studio.ui.workspace import Workspace

if TYPE_CHECKING:
    from studio.app.prediction import Answer, Classifier
    from studio.training.metrics import Metrics

_PREVIEW = 132
_ANSWERS = 5


class ResultsPage(Page):
    """The fourth step."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            workspace,
            tr("Results"),
            tr("How well the best checkpoint of a run does on images it was not trained on."),
            tr("Export"),
        )
        self.picker = RunPicker(workspace.runs)
        self.head.addWidget(self.picker)
        self.class_model = ClassTable(self)
        self.shown: Path | None = None
        self._classifier: tuple[Path, Classifier] | None = None
        self.stack = QStackedWidget()
        self.empty = Empty("results", tr("No run is chosen"), tr("Train a recipe first; its results are shown here."))
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._content())
        self.fill(self.stack)
        workspace.runs.selected_changed.connect(lambda run: self._look())
        workspace.runs.changed.connect(lambda rows: self._look())

    # building

    def _content(self) -> QWidget:
        self.accuracy, self.loss, self.images = (text("–", "figure") for _ in range(3))
        figures = Row(
            *((_figure(name, value), 1) for name, value in self._figures()),
            gap=14,
        )
        self.confusion = Confusion()
        matrix = Card(tr("Confusion matrix"), (self.confusion, 1))
        right = Column((self._classes(), 1), self._try_it(), gap=14)
        return holder(Column(figures, (Row((matrix, 1), (right, 1), gap=14), 1), gap=14))

    def _figures(self) -> tuple[tuple[str, QLabel], ...]:
        return (
            (tr("Accuracy"), self.accuracy),
            (tr("Loss"), self.loss),
            (tr("Validation images"), self.images),
        )

    def _classes(self) -> QWidget:
        table = self.table = QTableView()
        table.setModel(self.class_model)
        table.setShowGrid(False)
        table.setSelectionMode(QTableView.SelectionMode.NoSelection)
        table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        table.setAccessibleName(tr("Result of each class"))
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(28)
        header = table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        return Card(tr("Class by class"), (table, 1))

    def _try_it(self) -> QWidget:
        self.preview = QLabel(tr("Drop an image here"))
        self.preview.setFixedSize(_PREVIEW, _PREVIEW)
        self.preview.setWordWrap(True)
        self.preview.setProperty("role", "muted")
        self.preview.setAlignment(Qt.AlignmentFlag.AlignCenter)
        zone = DropZone(Column(self.preview, margins=(4, 4, 4, 4)))
        zone.dropped.connect(self.try_image)
        self.answer = text("", "heading")
        self.odds = ShareBars()
        self.trouble = Notice()
        pick = button(tr("Choose an image…"), self._pick, "data")
        words = Column(self.answer, self.odds, self.trouble, None, Row(pick, None), gap=8)
        return Card(tr("Try it"), Row(zone, (words, 1), gap=16))

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
        if row.accuracy is None or row.state == "running":
            self._say_empty(tr("This run has no result yet"), tr("Results are shown once it has been trained."))
            self.shown = None
        elif run.path != self.shown:
            self.shown = run.path
            self._say_empty(tr("Evaluating"), tr("The best checkpoint looks at every validation image."))
            self.workspace.lane.submit(
                lambda: _evaluate(run), lambda m: self._show(run, m), lambda e: self._fail(run, e), "evaluate"
            )

    def _say_empty(self, heading: str, words: str) -> None:
        self.notice.say("")
        self.empty.heading.setText(heading)
        self.empty.sentence.setText(words)
        self.stack.setCurrentIndex(0)

    def _show(self, run: Run, metrics: "Metrics") -> None:
        if run.path != self.shown:
            return
        self.accuracy.setText(percent(metrics.accuracy))
        self.loss.setText(f"{metrics.loss:.4f}")
        self.images.setText(count(metrics.images))
        self.confusion.show_counts([c.label for c in metrics.per_class], metrics.confusion)
        self.class_model.show_rows(metrics.per_class)
        self._clear_answer()
        self.stack.setCurrentIndex(1)

    def _fail(self, run: Run, error: Exception) -> None:
        if run.path == self.shown:
            self._say_empty(tr("This run could not be evaluated"), sentence(error))

    # trying images

    def _pick(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, tr("Choose an image"), "", tr("Images") + " (*.png *.jpg *.jpeg *.webp *.bmp *.tif *.tiff)"
        )
        if path:
            self.try_image(Path(path))

    def try_image(self, path: Path) -> None:
        """Show ``path`` and what the run takes it for."""
        run = self.workspace.runs.selected
        if run is None:
            return
        self._clear_answer()
        picture = small_picture(path, _PREVIEW - 10)
        self.preview.setText("" if not picture.isNull() else path.name)
        self.preview.setPixmap(QPixmap.fromImage(picture)) if not picture.isNull() else None
        self.answer.setText(tr("Looking…"))
        self.workspace.lane.submit(lambda: self._classify(run, path), self._show_answer, self._show_trouble, "classify")

    def _classify(self, run: Run, path: Path) -> "Answer":
        """On the lane's thread, which alone keeps the classifier."""
        from studio.app.prediction import open_classifier

        if self._classifier is None or self._classifier[0] != run.path:
            self._classifier = (run.path, open_classifier(run.path))
        return self._classifier[1].answer([path])[0]

    def _show_answer(self, answer: "Answer") -> None:
        label, share = answer.best(1)[0]
        self.answer.setText(f"{label}, {percent(share)}")
        self.odds.show_rows(answer.best(_ANSWERS))

    def _show_trouble(self, error: Exception) -> None:
        self.answer.setText("")
        self.trouble.say(sentence(error), "bad")

    def _clear_answer(self) -> None:
        self.answer.setText("")
        self.odds.show_rows([])
        self.trouble.say("")
        self.preview.setPixmap(QPixmap())
        self.preview.setText(tr("Drop an image here"))


def _figure(name: str, value: QLabel) -> Card:
    return Card("", text(name, "caption"), value, padding=14)


def _evaluate(run: Run) -> Any:
    from studio.evaluation import evaluate

    return evaluate(run)
