"""Data: choose a folder of images, and see what is in it."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPixmap, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QFileDialog, QListView, QStackedWidget, QWidget

from studio.core.paths import BUNDLED
from studio.core.recipe import Recipe, Split, Transforms
from studio.ui.figures import count, plural
from studio.ui.forms import Form
from studio.ui.images import THUMBNAIL, Scan
from studio.ui.language import tr
from studio.ui.panels.page import Page
from studio.ui.widgets.bars import Bars
from studio.ui.widgets.drop_zone import DropZone
from studio.ui.widgets.parts import Card, Column, Empty, Notice, Picture, Row, button, clear, holder, scrolled, text
from studio.ui.workspace import Workspace

SAMPLE = f"{BUNDLED}digits"


class DataPage(Page):
    """The first step."""

    def __init__(self, workspace: Workspace, open_sample: Callable[[], object]) -> None:
        super().__init__(
            workspace,
            tr("Data"),
            tr("The images to learn from: one folder, with a folder of images for each class."),
            tr("Backbone"),
        )
        self.stack = QStackedWidget()
        self.stack.addWidget(self._welcome(open_sample))
        self.stack.addWidget(self._content())
        self.fill(self.stack)
        self.setAcceptDrops(True)
        workspace.images.changed.connect(self._show)
        workspace.document.changed.connect(self._show_recipe)
        self._show_recipe(workspace.recipe)
        self._show(workspace.images.scan)

    # building

    def _welcome(self, open_sample: Callable[[], object]) -> QWidget:
        empty = Empty(
            "data",
            tr("Choose a folder of images"),
            tr("Drop a folder here, or choose one. Each folder inside it is one class, such as cats and dogs."),
            button(tr("Choose a folder…"), self.choose, "folder", "primary"),
            button(tr("Use the sample images"), self.use_sample, "sample"),
        )
        self.zone = DropZone(Column((empty, 1)))
        self.zone.dropped.connect(self.use)
        words = Column(
            text(tr("New here? Try the whole way in three minutes"), "heading"),
            text(
                tr("Handwritten digits, a small bundled backbone and LoRA on q and v. Works offline."),
                "muted",
                wrap=True,
            ),
            gap=2,
        )
        start = button(tr("Open the sample project"), open_sample, "sample", "primary")
        tour = Card("", Row(Picture("sample", "accent", 32), (words, 1), start, gap=16))
        return holder(Column(tour, (self.zone, 1), gap=14))

    def _content(self) -> QWidget:
        self.source = text("", "heading")
        self.counts = text("", "muted")
        self.source.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row = Row(
            Picture("folder", "accent", 24),
            (Column(self.source, self.counts, gap=1), 1),
            button(tr("Look again"), self.workspace.images.rescan, "refresh"),
            button(tr("Use the sample images"), self.use_sample, "sample"),
            button(tr("Choose a folder…"), self.choose, "folder"),
            gap=10,
            margins=(16, 12, 16, 12),
        )
        zone = DropZone(row, "card")
        zone.dropped.connect(self.use)
        self.bars = Bars()
        self.bars_card = Card(tr("Images in each class"), (scrolled(self.bars), 1))
        self.findings = Column(gap=6)
        self.findings_card = Card(tr("What to know"), self.findings)
        self.grid_model = QStandardItemModel(self)
        self.grid = self._grid()
        self.options = self._options()
        left = Column((self.bars_card, 1), self.findings_card, gap=14)
        right = Column((Card(tr("A few of the images"), (self.grid, 1)), 1), self.options, gap=14)
        return holder(Column(zone, (Row((left, 5), (right, 6), gap=14), 1), gap=14))

    def _grid(self) -> QListView:
        grid = QListView()
        grid.setModel(self.grid_model)
        grid.setViewMode(QListView.ViewMode.IconMode)
        grid.setResizeMode(QListView.ResizeMode.Adjust)
        grid.setMovement(QListView.Movement.Static)
        grid.setIconSize(QSize(THUMBNAIL, THUMBNAIL))
        grid.setGridSize(QSize(THUMBNAIL + 18, THUMBNAIL + 34))
        grid.setUniformItemSizes(True)
        grid.setSelectionMode(QListView.SelectionMode.NoSelection)
        grid.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        grid.setAccessibleName(tr("Sample of the images"))
        return grid

    def _options(self) -> QWidget:
        self.split_form, self.transform_form = Form(Split, ("validation", "seed")), Form(Transforms)
        self.split_form.edited.connect(lambda name, value: self.workspace.set_value(f"data.split.{name}", value))
        self.transform_form.edited.connect(
            lambda name, value: self.workspace.set_value(f"data.transforms.{name}", value)
        )
        return Card(tr("Division and changes"), Row((self.split_form, 1), (self.transform_form, 1), gap=28))

    # acting

    def choose(self) -> None:
        """Ask for a folder."""
        path = QFileDialog.getExistingDirectory(self, tr("Choose a folder of images"))
        if path:
            self.use(Path(path))

    def use(self, path: Path) -> None:
        """Take the images from ``path``."""
        self.workspace.set_value("data.path", str(path))

    def use_sample(self) -> None:
        """Take the handwritten digits that come with the program."""
        self.workspace.set_value("data.path", SAMPLE)

    # showing

    def _show_recipe(self, recipe: Recipe) -> None:
        self.split_form.show_values(recipe.data.split.model_dump())
        self.transform_form.show_values(recipe.data.transforms.model_dump())

    def _show(self, scan: Scan) -> None:
        self.stack.setCurrentIndex(1 if scan.path and not scan.error else 0)
        self.notice.say(scan.error, "bad")
        name = tr("Sample images: handwritten digits") if scan.path == SAMPLE else scan.path
        self.source.setText(name)
        self.counts.setText(_counts(scan))
        summary = scan.summary
        self.bars.show_rows(list(zip(summary.classes, summary.class_counts, strict=True)) if summary else [])
        self._show_findings(scan)
        self._show_thumbnails(scan)
        self.next.setEnabled(summary is not None or not scan.path)

    def _show_findings(self, scan: Scan) -> None:
        clear(self.findings)
        problems = scan.summary.problems if scan.summary else ()
        for finding in problems:
            notice = Notice("warn", tr(finding.text))
            notice.setToolTip("\n".join(str(path) for path in finding.files[:20]))
            self.findings.addWidget(notice)
        if scan.summary and not problems:
            self.findings.addWidget(Notice("good", tr("Every image can be read, and nothing else is in the folder.")))
        self.findings_card.setVisible(scan.summary is not None)

    def _show_thumbnails(self, scan: Scan) -> None:
        self.grid_model.clear()
        for thumbnail in scan.thumbnails:
            item = QStandardItem(QPixmap.fromImage(thumbnail.image), thumbnail.label)
            item.setToolTip(str(thumbnail.path))
            item.setEditable(False)
            self.grid_model.appendRow(item)


def _counts(scan: Scan) -> str:
    if scan.summary is None:
        return tr("Looking at the images…") if scan.busy else ""
    counts = scan.summary.counts
    parts = {
        "images": plural(len(scan.summary.images), "image"),
        "classes": plural(len(scan.summary.classes), "class", "classes"),
        "train": count(counts["train"]),
        "validation": count(counts["validation"]),
    }
    if not counts["test"]:
        return tr("{images} in {classes}: {train} for training, {validation} for validation", **parts)
    return tr(
        "{images} in {classes}: {train} for training, {validation} for validation, {test} for testing",
        **parts,
        test=count(counts["test"]),
    )
