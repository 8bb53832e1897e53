"""The Data page: choose images, check them, and decide how they are used."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QStackedWidget, QTabWidget, QWidget

from studio.core.messages import N_
from studio.core.recipe import Data, Recipe
from studio.ui.i18n.language import tr
from studio.ui.pages.base import Page
from studio.ui.pages.data.images_tab import ImagesTab
from studio.ui.pages.data.issues_tab import IssuesTab
from studio.ui.pages.data.source_card import SAMPLE_SOURCE, SourceCard, SourceChooser, file_source_text, file_sources
from studio.ui.pages.data.split_tab import SplitTab
from studio.ui.pages.data.transforms_tab import TransformsTab
from studio.ui.pages.registry import PageSpec, register
from studio.ui.services.image_scan import ScanResult
from studio.ui.services.recipe_edits import with_data
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import format_count
from studio.ui.widgets.components import Card, EmptyState, HBox, Icon, VBox, button, container, text_label
from studio.ui.widgets.drop_zone import DropZone


class DataPage(Page):
    """The first step."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            workspace,
            tr("Data"),
            tr("The images to train on: one folder, with a subfolder of images for each class."),
            tr("Backbone"),
        )
        self.chooser = SourceChooser(self, self.use_images)
        self.source_card = SourceCard(workspace, self.chooser, self.use_sample)
        self.images_tab, self.issues_tab = ImagesTab(workspace), IssuesTab(workspace)
        self.split_tab, self.transforms_tab = SplitTab(workspace), TransformsTab(workspace)
        self.stack = QStackedWidget()
        self.stack.addWidget(self._welcome())
        self.stack.addWidget(self._content())
        self.set_content(self.stack)
        paste = QShortcut(QKeySequence.StandardKey.Paste, self, self.chooser.paste)
        paste.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.issues_tab.images_requested.connect(self._show_issue)
        workspace.images.changed.connect(self._show)
        workspace.document.changed.connect(self._show_recipe)
        self.refresh()

    def refresh(self) -> None:
        """Show the recipe and the images as they are now."""
        self._show_recipe(self.workspace.recipe)
        self._show(self.workspace.images.scan)

    def _welcome(self) -> QWidget:
        empty = EmptyState(
            "data",
            tr("Choose a folder of images"),
            tr("Drop a folder here, or choose one. Each subfolder is one class, such as cats or dogs."),
            button(tr("Choose folder…"), self.chooser.choose_folder, "folder", "primary"),
            *(button(file_source_text(source), partial(self.chooser.choose_file, source)) for source in file_sources()),
            button(tr("Use sample images"), self.use_sample, "sample"),
            width=520,
        )
        self.drop_zone = DropZone(VBox((empty, 1)))
        self.drop_zone.dropped.connect(self.use_images)
        description = tr("Handwritten digits, a small bundled backbone and LoRA on q and v. Works offline.")
        text = VBox(
            text_label(tr("New here? Train your first adapter in three minutes"), "heading"),
            text_label(description, "muted", wrap=True),
            gap=2,
        )
        start = button(tr("Open sample project"), self.workspace.sample_requested.emit, "sample", "primary")
        tour = Card("", HBox(Icon("sample", "accent", 32), (text, 1), start, gap=16))
        return container(VBox(tour, (self.drop_zone, 1), gap=14))

    def _content(self) -> QWidget:
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.tabs.tabBar().setAccessibleName(tr("Views of the images"))
        tabs = {
            tr("Images"): self.images_tab,
            tr("Issues"): self.issues_tab,
            tr("Split"): self.split_tab,
            tr("Augmentation"): self.transforms_tab,
        }
        for title, tab in tabs.items():
            self.tabs.addTab(container(VBox((tab, 1), margins=(0, 10, 0, 0))), title)
        return container(VBox(self.source_card, (self.tabs, 1), gap=12))

    # edits

    def use_images(self, path: Path) -> None:
        """Use the images in ``path``."""
        self._set_source(str(path))

    def use_sample(self) -> None:
        """Use the handwritten digits that come with the program."""
        self._set_source(SAMPLE_SOURCE)

    def _set_source(self, path: str) -> None:
        """Change the source; decisions about single images of the old one are dropped."""
        recipe = self.workspace.recipe
        if path != recipe.data.path:
            data = Data(path=path, split=recipe.data.split, transforms=recipe.data.transforms)
            self.workspace.document.edit(N_("Choose images"), with_data(recipe, data))

    # showing

    def _show_recipe(self, recipe: Recipe) -> None:
        self.split_tab.show_recipe(recipe)
        self.transforms_tab.show_recipe(recipe)

    def _show(self, scan: ScanResult) -> None:
        data = self.workspace.recipe.data
        has_overrides = bool(data.excluded or data.labels or data.split_overrides)
        self.stack.setCurrentIndex(1 if scan.path and (has_overrides or not scan.error) else 0)
        self.banner.show_message(scan.error, "bad")
        self.source_card.show_scan(scan)
        for tab in (self.images_tab, self.issues_tab, self.split_tab, self.transforms_tab):
            tab.show_scan(scan)
        count = len(scan.summary.issues) if scan.summary else 0
        self.tabs.setTabText(1, tr("Issues ({n})", n=format_count(count)) if count else tr("Issues"))
        self.next_button.setEnabled(scan.summary is not None or not scan.path)

    def _show_issue(self, kind: str) -> None:
        self.images_tab.show_issue(kind)
        self.tabs.setCurrentIndex(0)

    def view_state(self) -> dict[str, Any]:
        """Return the open tab and the states of the tabs."""
        return {
            "tab": self.tabs.currentIndex(),
            "images": self.images_tab.view_state(),
            "issues": self.issues_tab.view_state(),
            "transforms": self.transforms_tab.view_state(),
        }

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Restore the values of :meth:`view_state`."""
        self.images_tab.restore_view_state(state.get("images", {}))
        self.issues_tab.restore_view_state(state.get("issues", {}))
        self.transforms_tab.restore_view_state(state.get("transforms", {}))
        self.tabs.setCurrentIndex(state.get("tab", 0))


PAGE = register(
    PageSpec(
        "data",
        N_("Data"),
        "data",
        DataPage,
        "Ctrl+1",
        step=1,
        is_done=lambda workspace: workspace.images.scan.summary is not None,
    )
)
