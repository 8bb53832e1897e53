"""Looking at the images: classes with their counts, a grid to filter, relabel and take out from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import is_
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QPoint, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QComboBox, QInputDialog, QMenu, QWidget

from studio.core.recipe import Data, SplitName
from studio.ui.i18n.language import language, tr
from studio.ui.pages.data.class_list import ALL_CLASSES, ClassList
from studio.ui.pages.data.image_grid import ImageGrid
from studio.ui.pages.data.image_model import SPLIT_LABELS
from studio.ui.pages.data.split_bar import SPLIT_COLORS
from studio.ui.services.image_scan import ScanResult
from studio.ui.services.recipe_edits import with_data
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import format_count
from studio.ui.widgets.components import Card, ColorSwatch, HBox, button, text_label
from studio.ui.widgets.fields import guard_wheel
from studio.ui.widgets.menu import Menu

if TYPE_CHECKING:
    from studio.data.dataset.index import DatasetIndex, ImageFile

_CLASSES_WIDTH = 250
EXCLUDED = "excluded"
"""The filter for images that are not used, among the kinds of findings."""


@dataclass(frozen=True, slots=True)
class _Filter:
    """Which images are shown: all, those of a finding, or those that are not used."""

    label: str
    kind: str = ""


class ImagesTab(QWidget):
    """The classes at the left, the images of the chosen one at the right."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._shown: tuple[object, ...] = ()
        self.classes = ClassList()
        self.grid = ImageGrid(workspace.images.thumbnails)
        self.filter = QComboBox()
        self.filter.setAccessibleName(tr("Which images are shown"))
        self.filter.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        guard_wheel(self.filter)
        self.count_label = text_label("", "muted")
        self.label_button = button(tr("Class…"), lambda: self._open_below(self.label_menu(), self.label_button))
        self.split_button = button(tr("Use for…"), lambda: self._open_below(self.split_menu(), self.split_button))
        self.exclude_button = button(tr("Exclude"), self.exclude)
        self.include_button = button(tr("Use again"), self.include)
        self.setLayout(HBox((self._left(), 0), (self._right(), 1), gap=14))
        self.classes.chosen.connect(lambda label: self._show_images())
        self.classes.dropped.connect(self._relabel_dropped)
        self.filter.activated.connect(lambda index: self._show_images())
        self.grid.selectionModel().selectionChanged.connect(lambda new, old: self._update_buttons())
        self.grid.exclude_requested.connect(self.exclude)
        self.grid.menu_requested.connect(self._open_context_menu)
        self.grid.image_opened.connect(lambda path: QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))))

    def _left(self) -> QWidget:
        legend = HBox(*(part for side in SPLIT_LABELS for part in (ColorSwatch(SPLIT_COLORS[side]), text_label(tr(SPLIT_LABELS[side]), "caption"))),
                     None, gap=6, margins=(10, 4, 10, 0))  # fmt: skip
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
        """Show what is in the source now; the filter stays while there is something for it."""
        summary, now = scan.summary, (scan.summary, language().code)
        if summary is not None and all(map(is_, now, self._shown)):
            return
        self._shown = now
        self.classes.show_classes(*((summary.classes, summary.class_splits) if summary else ((), ())))
        self._show_filters(summary)
        self._show_images()

    def show_issue(self, kind: str) -> None:
        """Show the images of a finding, of all classes."""
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
        self.count_label.setText(tr("{n} images", n=format_count(len(images))) if len(images) != 1 else tr("1 image"))
        self._update_buttons()

    def _update_buttons(self) -> None:
        number, out = self.grid.selected_count, self.filter.currentData() == EXCLUDED
        for one in (self.label_button, self.split_button, self.exclude_button):
            one.setVisible(not out)
            one.setEnabled(number > 0)
        self.include_button.setVisible(out)
        self.include_button.setEnabled(number > 0)

    # acting

    @property
    def _selected_paths(self) -> tuple[Path, ...]:
        return tuple(image.path for image in self.grid.selected_images)

    def _edit(self, step_text: str, change: Callable[[Data], Data]) -> None:
        recipe = self._workspace.recipe
        self._workspace.document.edit(step_text, with_data(recipe, change(recipe.data)))

    def exclude(self) -> None:
        """Take the selected images out of the recipe."""
        from studio.data.checks.fixes import exclude

        if self.filter.currentData() != EXCLUDED and (paths := self._selected_paths):
            self._edit(tr("Exclude {n} images", n=len(paths)), lambda data: exclude(data, paths))

    def include(self) -> None:
        """Use the selected images again."""
        from studio.data.checks.fixes import include

        if paths := self._selected_paths:
            self._edit(tr("Use {n} images again", n=len(paths)), lambda data: include(data, paths))

    def relabel(self, paths: Iterable[Path], name: str) -> None:
        """Put ``paths`` into the class called ``name``; kept in the recipe, the files stay."""
        from studio.data.checks.fixes import relabel

        listed = tuple(paths)
        self._edit(tr("Move {n} images to {name}", n=len(listed), name=name), lambda data: relabel(data, listed, name))

    def _relabel_chosen(self, name: str) -> None:
        self.relabel(self._selected_paths, name)

    def move_to_split(self, split: SplitName) -> None:
        """Use the selected images in the split ``split``."""
        from studio.data.checks.fixes import move_to_split

        paths = self._selected_paths
        words = tr("Use {n} images for {side}", n=len(paths), side=tr(SPLIT_LABELS[split]))
        self._edit(words, lambda data: move_to_split(data, paths, split))

    def _relabel_dropped(self, label: int, dropped: QMimeData) -> None:
        if self._summary:
            self.relabel(self.grid.images.paths_in(dropped), self._summary.classes[label])

    # menus

    def label_menu(self) -> QMenu:
        """A menu of the classes that the selected images can be moved to."""
        menu = Menu(self, tr("Move to the class"))
        for name in self._summary.classes if self._summary else ():
            menu.addAction(name.replace("&", "&&"), partial(self._relabel_chosen, name))
        menu.addSeparator()
        menu.addAction(tr("Another class…"), self._ask_class)
        return menu

    def _ask_class(self) -> None:
        """Ask for the name of another class, and move the selected images there."""
        name, wanted = QInputDialog.getText(self, tr("Another class"), tr("Its name:"))
        if wanted and name.strip():
            self._relabel_chosen(name.strip())

    def split_menu(self) -> QMenu:
        """A menu of the splits that the selected images can be used for."""
        menu = Menu(self, tr("Use for"))
        for side, words in SPLIT_LABELS.items():
            menu.addAction(tr(words).capitalize(), partial(self.move_to_split, side))
        return menu

    def _open_context_menu(self, position: QPoint) -> None:
        if not self.grid.selected_count:
            return
        menu = Menu(self)
        if self.filter.currentData() == EXCLUDED:
            menu.addAction(tr("Use again"), self.include)
        else:
            menu.addMenu(self.label_menu())
            menu.addMenu(self.split_menu())
            menu.addAction(tr("Exclude"), self.exclude)
        menu.exec(position)

    def _open_below(self, menu: QMenu, below: QWidget) -> None:
        menu.exec(below.mapToGlobal(QPoint(0, below.height() + 2)))


def _filters(summary: "DatasetIndex") -> Iterator[_Filter]:
    yield _Filter(tr("All images"))
    for finding in summary.issues:
        number = sum(file in summary.by_path for file in finding.files)
        if number:
            yield _Filter(f"{issue_title(finding.kind)} ({format_count(number)})", finding.kind)
    if summary.excluded:
        yield _Filter(f"{tr('Not used')} ({format_count(len(summary.excluded))})", EXCLUDED)


def _files(summary: "DatasetIndex", kind: str) -> "Sequence[ImageFile]":
    """The images of a finding in its order, which keeps copies together."""
    from studio.data.dataset.index import ImageFile

    if kind == EXCLUDED:
        return [ImageFile(path, -1, "train") for path in summary.excluded]
    finding = next((one for one in summary.issues if one.kind == kind), None)
    if finding is None:
        return summary.images
    return [summary.by_path[file] for file in finding.files if file in summary.by_path]


def issue_title(kind: str) -> str:
    """A finding's kind as a short heading."""
    return tr(kind.replace("-", " ").capitalize())
