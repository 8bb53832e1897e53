"""How the images are divided into training and validation."""

from PySide6.QtWidgets import QWidget

from studio.core.recipe import Recipe, Split, SplitName
from studio.ui.i18n.language import tr
from studio.ui.pages.data.image_model import SPLIT_LABELS
from studio.ui.pages.data.split_bar import SPLIT_COLORS, SplitBar
from studio.ui.services.image_scan import ScanResult
from studio.ui.services.workspace import Workspace
from studio.ui.shared.config_form import ConfigForm
from studio.ui.style.formatting import format_count, format_percent
from studio.ui.widgets.components import Banner, Card, ColorSwatch, HBox, VBox, container, scroll_area, text_label

_FORM_WIDTH = 380


class SplitTab(QWidget):
    """The settings at the left, what comes of them at the right."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.form = ConfigForm(Split)
        self.form.edited.connect(lambda name, value: workspace.set_value(f"data.split.{name}", value))
        self.banner = Banner()
        self.split_bar = SplitBar()
        self.count_labels = {side: text_label("", "figure") for side in SPLIT_LABELS}
        form = Card(tr("Division"), (scroll_area(self.form), 1))
        form.setFixedWidth(_FORM_WIDTH)
        self.setLayout(HBox((form, 0), (self._result(), 1), gap=14))

    def _result(self) -> QWidget:
        figures = HBox(*(part for side in SPLIT_LABELS for part in (self._figure(side), 24)), None)
        words = text_label(
            tr(
                "Each class is divided in the same way, by the names of the files and the seed: the same recipe always "
                "divides alike, and a run keeps its division. Training never sees the validation images, which decide "
                "which epoch is the best."
            ),
            "muted",
            wrap=True,
        )
        return container(
            VBox(self.banner, Card(tr("What comes of it"), figures, self.split_bar, words, gap=12), None, gap=10)
        )

    def _figure(self, split: SplitName) -> QWidget:
        head = HBox(
            ColorSwatch(SPLIT_COLORS[split]), text_label(tr(SPLIT_LABELS[split]).capitalize(), "caption"), None, gap=6
        )
        return container(VBox(head, self.count_labels[split], gap=0))

    def show_recipe(self, recipe: Recipe) -> None:
        """Show the settings."""
        self.form.show_values(recipe.data.split.model_dump())

    def show_scan(self, scan: ScanResult) -> None:
        """Show how many images are in which split."""
        summary = scan.summary
        counts = summary.counts if summary else dict.fromkeys(SPLIT_LABELS, 0)
        total = max(1, sum(counts.values()))
        for side, label in self.count_labels.items():
            number = counts[side]
            label.setText(f"{format_count(number)}  ·  {format_percent(number / total, 0)}")
        self.split_bar.show_counts(tuple(counts.values()))
        ready_made = summary is not None and not summary.split_by_recipe
        words = tr("The folders or the list make the division already, so these settings change nothing.")
        self.banner.show_message(words if ready_made else "")
        self.form.setEnabled(not ready_made)
