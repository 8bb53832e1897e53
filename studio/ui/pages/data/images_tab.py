"""The Images tab: classes, and a grid to filter, relabel and exclude images."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QMimeData, QPoint, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QComboBox, QInputDialog, QMenu, QWidget

from studio.core.messages import N_n
from studio.core.recipe import Data, SplitName
from studio.ui.i18n.language import localized, tr, tr_n
from studio.ui.pages.data.class_list import ALL_CLASSES, ClassList
from studio.ui.pages.data.image_grid import ImageGrid
from studio.ui.pages.data.image_model import SPLIT_LABELS, SPLIT_TITLES
from studio.ui.pages.data.issue_titles import issue_title
from studio.ui.pages.data.split_bar import SPLIT_COLORS
from studio.ui.services.image_scan import ScanResult
from studio.ui.services.recipe_edits import with_data
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import format_count
from studio.ui.widgets.components import Card, ColorSwatch, HBox, button, text_label
from studio.ui.widgets.fields import guard_wheel
from studio.ui.widgets.menu import Menu
from studio.ui.widgets.scroll import restore_scroll

if TYPE_CHECKING:
    from studio.data.dataset.index import DatasetIndex, ImageFile

_CLASSES_WIDTH = 250
EXCLUDED = "excluded"
"""The filter for excluded images, among the kinds of issues."""


@dataclass(frozen=True, slots=True)
class _Filter:
    """A choice of images: all, those of an issue (``kind``), or the excluded ones."""

    label: str
    kind: str = ""


class ImagesTab(QWidget):
    """The classes at the left, the images of the selected one at the right."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._shown: DatasetIndex | None = None
        self.classes = ClassList()
        self.grid = ImageGrid(workspace.images.thumbnails)
        self.filter = QComboBox()
        self.filter.setAccessibleName(tr("Filter of the images"))
        self.filter.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        guard_wheel(self.filter)
        self.count_label = text_label("", "muted")
        self.label_button = button(tr("Move to class…"), lambda: self._open_below(self.label_menu(), self.label_button))
        self.split_button = button(tr("Use for…"), lambda: self._open_below(self.split_menu(), self.split_button))
        self.exclude_button = button(tr("Exclude"), self.exclude)
        self.include_button = button(tr("Include"), self.include)
        self.setLayout(HBox((self._left(), 0), (self._right(), 1), gap=14))
        self.classes.chosen.connect(lambda label: self._show_images())
        self.classes.dropped.connect(self._relabel_dropped)
        self.filter.activated.connect(lambda index: self._show_images())
        self.grid.selectionModel().selectionChanged.connect(lambda new, old: self._update_buttons())
        self.grid.exclude_requested.connect(self.exclude)
        self.grid.menu_requested.connect(self._open_context_menu)
        self.grid.image_opened.connect(lambda path: QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))))

    def _left(self) -> QWidget:
        legend = HBox(gap=6, margins=(10, 4, 10, 0))
        for split, label in SPLIT_LABELS.items():
            legend.addWidget(ColorSwatch(SPLIT_COLORS[split]))
            legend.addWidget(text_label(localized(label), "caption"))
        legend.addStretch(1)
        card = Card("", (self.classes, 1), legend, padding=8)
        card.setFixedWidth(_CLASSES_WIDTH)
        return card

    def _right(self) -> QWidget:
        tools = HBox(
            self.filter,
            self.count_label,
            None,
            self.label_button,
            self.split_button,
            self.exclude_button,
            self.include_button,
        )
        return Card("", tools, (self.grid, 1), padding=12)

    # showing

    @property
    def _summary(self) -> "DatasetIndex | None":
        return self._workspace.images.scan.summary

    def show_scan(self, scan: ScanResult) -> None:
        """Show the images of ``scan``; the filter stays while it has images."""
        summary = scan.summary
        if summary is not None and summary is self._shown:
            return
        self._shown = summary
        self.classes.show_classes(*((summary.classes, summary.class_splits) if summary else ((), ())))
        self._show_filters(summary)
        self._show_images()

    def show_issue(self, kind: str) -> None:
        """Show the images of an issue, of all classes."""
        self.classes.select_class(ALL_CLASSES)
        self.filter.setCurrentIndex(max(0, self._filter_index(kind)))
        self._show_images()

    def _show_filters(self, summary: "DatasetIndex | None") -> None:
        before = self.filter.currentData()
        self.filter.clear()
        for one in _filters(summary) if summary else ():
            self.filter.addItem(one.label, one.kind)
        self.filter.setCurrentIndex(max(0, self._filter_index(before)))

    def _filter_index(self, kind: object) -> int:
        return self.filter.findData(kind) if kind else 0

    def _show_images(self) -> None:
        summary, kind = self._summary, self.filter.currentData()
        images: Sequence[ImageFile] = ()
        if summary:
            wanted = _files(summary, kind)
            label = self.classes.selected_label
            is_all = label == ALL_CLASSES or kind == EXCLUDED
            images = wanted if is_all else [image for image in wanted if image.label == label]
            self.grid.images.show_images(summary.path, summary.classes, images)
        else:
            self.grid.images.show_images(Path(), (), ())
        self.count_label.setText(tr_n("{n:,} image", "{n:,} images", len(images)))
        self._update_buttons()

    def _update_buttons(self) -> None:
        has_selection, excluded = self.grid.selected_count > 0, self.filter.currentData() == EXCLUDED
        for action_button in (self.label_button, self.split_button, self.exclude_button):
            action_button.setVisible(not excluded)
            action_button.setEnabled(has_selection)
        self.include_button.setVisible(excluded)
        self.include_button.setEnabled(has_selection)

    def view_state(self) -> dict[str, Any]:
        """Return class, filter, selected rows and scroll position."""
        return {
            "class": self.classes.selected_label,
            "filter": self.filter.currentData(),
            "rows": [index.row() for index in self.grid.selectedIndexes()],
            "scroll": self.grid.verticalScrollBar().value(),
        }

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Restore the values of :meth:`view_state`."""
        self.classes.select_class(state.get("class", ALL_CLASSES))
        self.filter.setCurrentIndex(max(0, self._filter_index(state.get("filter"))))
        self._show_images()
        selection = self.grid.selectionModel()
        for row in state.get("rows", ()):
            selection.select(self.grid.images.index(row), selection.SelectionFlag.Select)
        restore_scroll(self.grid, state.get("scroll", 0))

    # edits

    @property
    def _selected_paths(self) -> tuple[Path, ...]:
        return tuple(image.path for image in self.grid.selected_images)

    def _edit(self, step_text: str, change: Callable[[Data], Data]) -> None:
        recipe = self._workspace.recipe
        self._workspace.document.edit(step_text, with_data(recipe, change(recipe.data)))

    def exclude(self) -> None:
        """Exclude the selected images."""
        from studio.data.checks.fixes import exclude

        if self.filter.currentData() != EXCLUDED and (paths := self._selected_paths):
            step = N_n("Exclude {n:,} image", "Exclude {n:,} images", len(paths))
            self._edit(step, lambda data: exclude(data, paths))

    def include(self) -> None:
        """Include the selected images again."""
        from studio.data.checks.fixes import include

        if paths := self._selected_paths:
            step = N_n("Include {n:,} image", "Include {n:,} images", len(paths))
            self._edit(step, lambda data: include(data, paths))

    def relabel(self, paths: Iterable[Path], name: str) -> None:
        """Move ``paths`` to the class called ``name``, in the recipe only.

        The files stay in place.
        """
        from studio.data.checks.fixes import relabel

        listed = tuple(paths)
        step = N_n("Move {n:,} image to {name}", "Move {n:,} images to {name}", len(listed), name=name)
        self._edit(step, lambda data: relabel(data, listed, name))

    def _relabel_chosen(self, name: str) -> None:
        self.relabel(self._selected_paths, name)

    def move_to_split(self, split: SplitName) -> None:
        """Move the selected images to ``split``."""
        from studio.data.checks.fixes import move_to_split

        paths = self._selected_paths
        step = N_n("Use {n:,} image for {split}", "Use {n:,} images for {split}", len(paths), split=SPLIT_LABELS[split])
        self._edit(step, lambda data: move_to_split(data, paths, split))

    def _relabel_dropped(self, label: int, dropped: QMimeData) -> None:
        if self._summary:
            self.relabel(self.grid.images.paths_in(dropped), self._summary.classes[label])

    # menus

    def label_menu(self) -> QMenu:
        """Return a menu of the classes that the selected images can be moved to."""
        menu = Menu(self, tr("Move to class"))
        for name in self._summary.classes if self._summary else ():
            menu.addAction(name.replace("&", "&&"), partial(self._relabel_chosen, name))
        menu.addSeparator()
        menu.addAction(tr("Another class…"), self._ask_class)
        return menu

    def _ask_class(self) -> None:
        """Ask for the name of another class, and move the selected images there."""
        name, accepted = QInputDialog.getText(self, tr("Another class"), tr("Class name:"))
        if accepted and name.strip():
            self._relabel_chosen(name.strip())

    def split_menu(self) -> QMenu:
        """Return a menu of the splits that the selected images can be moved to."""
        menu = Menu(self, tr("Use for"))
        for split, title in SPLIT_TITLES.items():
            menu.addAction(localized(title), partial(self.move_to_split, split))
        return menu

    def _open_context_menu(self, position: QPoint) -> None:
        if not self.grid.selected_count:
            return
        menu = Menu(self)
        if self.filter.currentData() == EXCLUDED:
            menu.addAction(tr("Include"), self.include)
        else:
            menu.addMenu(self.label_menu())
            menu.addMenu(self.split_menu())
            menu.addAction(tr("Exclude"), self.exclude)
        menu.exec(position)

    def _open_below(self, menu: QMenu, below: QWidget) -> None:
        menu.exec(below.mapToGlobal(QPoint(0, below.height() + 2)))


def _filters(summary: "DatasetIndex") -> Iterator[_Filter]:
    yield _Filter(tr("All images"))
    for issue in summary.issues:
        count = sum(file in summary.by_path for file in issue.files)
        if count:
            title = localized(issue_title(issue.kind))
            yield _Filter(tr("{title} ({n})", title=title, n=format_count(count)), issue.kind)
    if summary.excluded:
        yield _Filter(tr("Excluded ({n})", n=format_count(len(summary.excluded))), EXCLUDED)


def _files(summary: "DatasetIndex", kind: str) -> "Sequence[ImageFile]":
    """Return the images of an issue in its order, which keeps copies together."""
    from studio.data.dataset.index import ImageFile

    if kind == EXCLUDED:
        return [ImageFile(path, -1, "train") for path in summary.excluded]
    issue = next((issue for issue in summary.issues if issue.kind == kind), None)
    if issue is None:
        return summary.images
    return [summary.by_path[file] for file in issue.files if file in summary.by_path]
