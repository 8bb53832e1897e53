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
from studio.ui.pages.data.class_list import ALL, ClassList
from studio.ui.pages.data.image_grid import ImageGrid
from studio.ui.pages.data.image_model import SIDES
from studio.ui.pages.data.split_bar import SIDE_COLOURS
from studio.ui.services.image_scan import Scan
from studio.ui.services.recipe_edits import with_data
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import count
from studio.ui.widgets.components import Card, Dot, Row, button, text
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

    words: str
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
        self.shown = text("", "muted")
        self.label_button = button(tr("Class…"), lambda: self._pop(self.label_menu(), self.label_button))
        self.side_button = button(tr("Use for…"), lambda: self._pop(self.side_menu(), self.side_button))
        self.out_button = button(tr("Exclude"), self.exclude)
        self.back_button = button(tr("Use again"), self.take_back)
        self.setLayout(Row((self._left(), 0), (self._right(), 1), gap=14))
        self.classes.chosen.connect(lambda label: self._fill())
        self.classes.dropped.connect(self._drop)
        self.filter.activated.connect(lambda index: self._fill())
        self.grid.selectionModel().selectionChanged.connect(lambda new, old: self._buttons())
        self.grid.removal_wanted.connect(self.exclude)
        self.grid.menu_wanted.connect(self._menu)
        self.grid.looked_at.connect(lambda path: QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))))

    def _left(self) -> QWidget:
        legend = Row(*(part for side in SIDES for part in (Dot(SIDE_COLOURS[side]), text(tr(SIDES[side]), "caption"))),
                     None, gap=6, margins=(10, 4, 10, 0))  # fmt: skip
        card = Card("", (self.classes, 1), legend, padding=8)
        card.setFixedWidth(_CLASSES_WIDTH)
        return card

    def _right(self) -> QWidget:
        tools = Row(
            self.filter, self.shown, None, self.label_button, self.side_button, self.out_button, self.back_button
        )
        return Card("", tools, (self.grid, 1), padding=12)

    # showing

    @property
    def _summary(self) -> "DatasetIndex | None":
        return self._workspace.images.scan.summary

    def show_scan(self, scan: Scan) -> None:
        """Show what is in the source now; the filter stays while there is something for it."""
        summary, now = scan.summary, (scan.summary, language().code)
        if summary is not None and all(map(is_, now, self._shown)):
            return
        self._shown = now
        self.classes.show_classes(*((summary.classes, summary.class_splits) if summary else ((), ())))
        self._show_filters(summary)
        self._fill()

    def show_finding(self, kind: str) -> None:
        """Show the images of a finding, of all classes."""
        self.classes.choose(ALL)
        self.filter.setCurrentIndex(max(0, self._place(kind)))
        self._fill()

    def _show_filters(self, summary: "DatasetIndex | None") -> None:
        before = self.filter.currentData()
        self.filter.clear()
        for one in _filters(summary) if summary else ():
            self.filter.addItem(one.words, one.kind)
        self.filter.setCurrentIndex(max(0, self._place(before)))

    def _place(self, kind: object) -> int:
        return self.filter.findData(kind) if kind else 0

    def _fill(self) -> None:
        summary, kind = self._summary, self.filter.currentData()
        images: Sequence[ImageFile] = ()
        if summary:
            wanted = _files(summary, kind)
            label = self.classes.label
            is_all = label == ALL or kind == EXCLUDED
            images = wanted if is_all else [image for image in wanted if image.label == label]
            self.grid.images.show_images(summary.path, summary.classes, images)
        else:
            self.grid.images.show_images(Path(), (), ())
        self.shown.setText(tr("{n} images", n=count(len(images))) if len(images) != 1 else tr("1 image"))
        self._buttons()

    def _buttons(self) -> None:
        number, out = self.grid.chosen_count, self.filter.currentData() == EXCLUDED
        for one in (self.label_button, self.side_button, self.out_button):
            one.setVisible(not out)
            one.setEnabled(number > 0)
        self.back_button.setVisible(out)
        self.back_button.setEnabled(number > 0)

    # acting

    @property
    def _chosen(self) -> tuple[Path, ...]:
        return tuple(image.path for image in self.grid.chosen)

    def _edit(self, words: str, change: Callable[[Data], Data]) -> None:
        recipe = self._workspace.recipe
        self._workspace.document.edit(words, with_data(recipe, change(recipe.data)))

    def exclude(self) -> None:
        """Take the selected images out of the recipe."""
        from studio.data.checks.fixes import exclude

        if self.filter.currentData() != EXCLUDED and (paths := self._chosen):
            self._edit(tr("Exclude {n} images", n=len(paths)), lambda data: exclude(data, paths))

    def take_back(self) -> None:
        """Use the selected images again."""
        from studio.data.checks.fixes import include

        if paths := self._chosen:
            self._edit(tr("Use {n} images again", n=len(paths)), lambda data: include(data, paths))

    def relabel(self, paths: Iterable[Path], name: str) -> None:
        """Put ``paths`` into the class called ``name``; kept in the recipe, the files stay."""
        from studio.data.checks.fixes import relabel

        listed = tuple(paths)
        self._edit(tr("Move {n} images to {name}", n=len(listed), name=name), lambda data: relabel(data, listed, name))

    def _relabel_chosen(self, name: str) -> None:
        self.relabel(self._chosen, name)

    def move(self, side: SplitName) -> None:
        """Use the selected images in the split ``side``."""
        from studio.data.checks.fixes import move_to_split

        paths = self._chosen
        words = tr("Use {n} images for {side}", n=len(paths), side=tr(SIDES[side]))
        self._edit(words, lambda data: move_to_split(data, paths, side))

    def _drop(self, label: int, dropped: QMimeData) -> None:
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

    def side_menu(self) -> QMenu:
        """A menu of the splits that the selected images can be used for."""
        menu = Menu(self, tr("Use for"))
        for side, words in SIDES.items():
            menu.addAction(tr(words).capitalize(), partial(self.move, side))
        return menu

    def _menu(self, at: QPoint) -> None:
        if not self.grid.chosen_count:
            return
        menu = Menu(self)
        if self.filter.currentData() == EXCLUDED:
            menu.addAction(tr("Use again"), self.take_back)
        else:
            menu.addMenu(self.label_menu())
            menu.addMenu(self.side_menu())
            menu.addAction(tr("Exclude"), self.exclude)
        menu.exec(at)

    def _pop(self, menu: QMenu, below: QWidget) -> None:
        menu.exec(below.mapToGlobal(QPoint(0, below.height() + 2)))


def _filters(summary: "DatasetIndex") -> Iterator[_Filter]:
    yield _Filter(tr("All images"))
    for finding in summary.issues:
        number = sum(file in summary.by_path for file in finding.files)
        if number:
            yield _Filter(f"{kind_words(finding.kind)} ({count(number)})", finding.kind)
    if summary.excluded:
        yield _Filter(f"{tr('Not used')} ({count(len(summary.excluded))})", EXCLUDED)


def _files(summary: "DatasetIndex", kind: str) -> "Sequence[ImageFile]":
    """The images of a finding in its order, which keeps copies together."""
    from studio.data.dataset.index import ImageFile

    if kind == EXCLUDED:
        return [ImageFile(path, -1, "train") for path in summary.excluded]
    finding = next((one for one in summary.issues if one.kind == kind), None)
    if finding is None:
        return summary.images
    return [summary.by_path[file] for file in finding.files if file in summary.by_path]


def kind_words(kind: str) -> str:
    """A finding's kind as a short heading."""
    return tr(kind.replace("-", " ").capitalize())
