"""The Split tab: how the images are split into training and validation."""

from PySide6.QtWidgets import QWidget

from studio.core.recipe import Recipe, Split, SplitName
from studio.ui.i18n.language import localized, tr
from studio.ui.pages.data.image_model import SPLIT_TITLES
from studio.ui.pages.data.split_bar import SPLIT_COLORS, SplitBar
from studio.ui.services.image_scan import ScanResult
from studio.ui.services.workspace import Workspace
from studio.ui.shared.config_form import ConfigForm
from studio.ui.shared.error_banner import ErrorBanner
from studio.ui.style.formatting import format_count, format_percent
from studio.ui.widgets.components import Card, ColorSwatch, HBox, VBox, container, scroll_area, text_label

_FORM_WIDTH = 380


class SplitTab(QWidget):
    """The settings at the left, the resulting split at the right."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.form = ConfigForm(Split)
        self.form.edited.connect(lambda name, value: workspace.set_value(f"data.split.{name}", value))
        self.banner = ErrorBanner()
        self.split_bar = SplitBar()
        self.count_labels = {split: text_label("", "figure") for split in SPLIT_TITLES}
        form = Card(tr("Split settings"), (scroll_area(self.form), 1))
        form.setFixedWidth(_FORM_WIDTH)
        self.setLayout(HBox((form, 0), (self._result(), 1), gap=14))

    def _result(self) -> QWidget:
        figures = HBox(*(part for split in SPLIT_TITLES for part in (self._figure(split), 24)), None)
        text = tr(
            "Each class is split by file names and seed: a recipe always gives the same split, and a run keeps its "
            "own. The validation images are never trained on; they decide which epoch is the best."
        )
        card = Card(tr("Resulting split"), figures, self.split_bar, text_label(text, "muted", wrap=True), gap=12)
        return container(VBox(self.banner, card, None, gap=10))

    def _figure(self, split: SplitName) -> QWidget:
        title = text_label(localized(SPLIT_TITLES[split]), "caption")
        head = HBox(ColorSwatch(SPLIT_COLORS[split]), title, None, gap=6)
        return container(VBox(head, self.count_labels[split], gap=0))

    def show_recipe(self, recipe: Recipe) -> None:
        """Show the settings."""
        self.form.show_values(recipe.data.split.model_dump())

    def show_scan(self, scan: ScanResult) -> None:
        """Show the number of images in each split."""
        summary = scan.summary
        counts = summary.counts if summary else dict.fromkeys(SPLIT_TITLES, 0)
        total = max(1, sum(counts.values()))
        for split, label in self.count_labels.items():
            count = counts[split]
            label.setText(f"{format_count(count)}  ·  {format_percent(count / total, 0)}")
        self.split_bar.show_counts(tuple(counts.values()))
        is_predefined = summary is not None and not summary.split_by_recipe
        text = tr("The folders or the list already define the split, so these settings have no effect.")
        self.banner.show_message(text if is_predefined else "")
        self.form.setEnabled(not is_predefined)
