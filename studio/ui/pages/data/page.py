"""Data: choose images, see what is in them and what is wrong, and decide how they are used."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QStackedWidget, QTabWidget, QWidget

from studio.core.recipe import Data, Recipe
from studio.ui.i18n.language import tr
from studio.ui.pages.base import Page
from studio.ui.pages.data.images_tab import ImagesTab
from studio.ui.pages.data.issues_tab import IssuesTab
from studio.ui.pages.data.source_card import SAMPLE_SOURCE, SourceCard, SourceChooser, file_source_text, file_sources
from studio.ui.pages.data.split_tab import SplitTab
from studio.ui.pages.data.transforms_tab import TransformsTab
from studio.ui.services.image_scan import ScanResult
from studio.ui.services.recipe_edits import with_data
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import format_count
from studio.ui.widgets.components import Card, EmptyState, HBox, Icon, VBox, button, container, text_label
from studio.ui.widgets.drop_zone import DropZone


class DataPage(Page):
    """The first step."""

    def __init__(self, workspace: Workspace, open_sample: Callable[[], object]) -> None:
        super().__init__(
            workspace,
            tr("Data"),
            tr("The images to learn from: one folder, with a folder of images for each class."),
            tr("Backbone"),
        )
        self.chooser = SourceChooser(self, self.use_images)
        self.source_card = SourceCard(workspace, self.chooser, self.use_sample)
        self.images_tab, self.issues_tab = ImagesTab(workspace), IssuesTab(workspace)
        self.split_tab, self.transforms_tab = SplitTab(workspace), TransformsTab(workspace)
        self.stack = QStackedWidget()
        self.stack.addWidget(self._welcome(open_sample))
        self.stack.addWidget(self._content())
        self.set_content(self.stack)
        paste = QShortcut(QKeySequence.StandardKey.Paste, self, self.chooser.paste)
        paste.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.issues_tab.images_requested.connect(self._show_issue)
        workspace.images.changed.connect(self._show)
        workspace.document.changed.connect(self._show_recipe)
        self._show_recipe(workspace.recipe)
        self._show(workspace.images.scan)

    def _welcome(self, open_sample: Callable[[], object]) -> QWidget:
        empty = EmptyState(
            "data",
            tr("Choose a folder of images"),
            tr("Drop a folder here, or choose one. Each folder inside it is one class, such as cats and dogs."),
            button(tr("Choose a folder…"), self.chooser.choose_folder, "folder", "primary"),
            *(button(file_source_text(source), partial(self.chooser.choose_file, source)) for source in file_sources()),
            button(tr("Use the sample images"), self.use_sample, "sample"),
            width=520,
        )
        self.drop_zone = DropZone(VBox((empty, 1)))
        self.drop_zone.dropped.connect(self.use_images)
        words = VBox(
            text_label(tr("New here? Try the whole way in three minutes"), "heading"),
            text_label(
                tr("Handwritten digits, a small bundled backbone and LoRA on q and v. Works offline."),
                "muted",
                wrap=True,
            ),
            gap=2,
        )
        start = button(tr("Open the sample project"), open_sample, "sample", "primary")
        tour = Card("", HBox(Icon("sample", "accent", 32), (words, 1), start, gap=16))
        return container(VBox(tour, (self.drop_zone, 1), gap=14))

    def _content(self) -> QWidget:
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.tabs.tabBar().setAccessibleName(tr("What to look at"))
        pages = {
            tr("Images"): self.images_tab,
            tr("Findings"): self.issues_tab,
            tr("Division"): self.split_tab,
            tr("Augmentation"): self.transforms_tab,
        }
        for words, page in pages.items():
            self.tabs.addTab(container(VBox((page, 1), margins=(0, 10, 0, 0))), words)
        return container(VBox(self.source_card, (self.tabs, 1), gap=12))

    # acting

    def use_images(self, path: Path) -> None:
        """Take the images from ``path``."""
        self._set_source(str(path))

    def use_sample(self) -> None:
        """Take the handwritten digits that come with the program."""
        self._set_source(SAMPLE_SOURCE)

    def _set_source(self, path: str) -> None:
        """Other images begin with nothing decided about single ones."""
        recipe = self.workspace.recipe
        if path != recipe.data.path:
            data = Data(path=path, split=recipe.data.split, transforms=recipe.data.transforms)
            self.workspace.document.edit(tr("Choose images"), with_data(recipe, data))

    # showing

    def _show_recipe(self, recipe: Recipe) -> None:
        self.split_tab.show_recipe(recipe)
        self.transforms_tab.show_recipe(recipe)

    def _show(self, scan: ScanResult) -> None:
        data = self.workspace.recipe.data
        decided = bool(data.excluded or data.labels or data.split_overrides)
        self.stack.setCurrentIndex(1 if scan.path and (decided or not scan.error) else 0)
        self.banner.show_message(tr(scan.error), "bad")
        self.source_card.show_scan(scan)
        for tab in (self.images_tab, self.issues_tab, self.split_tab, self.transforms_tab):
            tab.show_scan(scan)
        number = len(scan.summary.issues) if scan.summary else 0
        self.tabs.setTabText(1, tr("Findings ({n})", n=format_count(number)) if number else tr("Findings"))
        self.next_button.setEnabled(scan.summary is not None or not scan.path)

    def _show_issue(self, kind: str) -> None:
        self.images_tab.show_issue(kind)
        self.tabs.setCurrentIndex(0)
