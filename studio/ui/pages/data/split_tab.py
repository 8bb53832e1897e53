"""How the images are divided into training and validation."""

from PySide6.QtWidgets import QWidget

from studio.core.recipe import Recipe, SplitName, Split
from studio.ui.i18n.language import tr
from studio.ui.pages.data.image_model import SIDES
from studio.ui.pages.data.split_bar import SIDE_COLOURS, StackBar
from studio.ui.services.image_scan import Scan
from studio.ui.services.workspace import Workspace
from studio.ui.shared.config_form import Form
from studio.ui.style.formatting import count, percent
from studio.ui.widgets.components import Card, Column, Dot, Notice, Row, holder, scrolled, text

_FORM_WIDTH = 380


class DivisionTab(QWidget):
    """The settings at the left, what comes of them at the right."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.form = Form(Split)
        self.form.edited.connect(lambda name, value: workspace.set_value(f"data.split.{name}", value))
        self.note = Notice()
        self.shares = StackBar()
        self.figures = {side: text("", "figure") for side in SIDES}
        form = Card(tr("Division"), (scrolled(self.form), 1))
        form.setFixedWidth(_FORM_WIDTH)
        self.setLayout(Row((form, 0), (self._result(), 1), gap=14))

    def _result(self) -> QWidget:
        figures = Row(*(part for side in SIDES for part in (self._figure(side), 24)), None)
        words = text(
            tr(
                "Each class is divided in the same way, by the names of the files and the seed: the same recipe always "
                "divides alike, and a run keeps its division. Training never sees the validation images, which decide "
                "which epoch is the best."
            ),
            "muted",
            wrap=True,
        )
        return holder(
            Column(self.note, Card(tr("What comes of it"), figures, self.shares, words, gap=12), None, gap=10)
        )

    def _figure(self, side: SplitName) -> QWidget:
        head = Row(Dot(SIDE_COLOURS[side]), text(tr(SIDES[side]).capitalize(), "caption"), None, gap=6)
        return holder(Column(head, self.figures[side], gap=0))

    def show_recipe(self, recipe: Recipe) -> None:
        """Show the settings."""
        self.form.show_values(recipe.data.split.model_dump())

    def show_scan(self, scan: Scan) -> None:
        """Show how many images are in which split."""
        summary = scan.summary
        counts = summary.counts if summary else dict.fromkeys(SIDES, 0)
        total = max(1, sum(counts.values()))
        for side, label in self.figures.items():
            number = counts[side]
            label.setText(f"{count(number)}  ·  {percent(number / total, 0)}")
        self.shares.show_numbers(tuple(counts.values()))
        ready_made = summary is not None and not summary.split_by_recipe
        words = tr("The folders or the list make the division already, so these settings change nothing.")
        self.note.say(words if ready_made else "")
        self.form.setEnabled(not ready_made)
