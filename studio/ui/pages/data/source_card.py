"""The source of the images, the progress of their check, and the baseline."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QProgressBar, QPushButton, QWidget

from studio.core.paths import BUNDLED_PREFIX
from studio.data.sources.contract import SOURCES, Source
from studio.ui.i18n.language import localized, tr, tr_n
from studio.ui.services.baseline import BaselineStatus
from studio.ui.services.image_scan import ScanResult
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import format_bytes, format_count, format_percent
from studio.ui.widgets.components import HBox, Icon, VBox, button, container, text_label
from studio.ui.widgets.drop_zone import DropZone, first_local_path
from studio.ui.widgets.menu import Menu

SAMPLE_SOURCE = f"{BUNDLED_PREFIX}digits"
_MIN_BYTES = 1_000_000
"""A larger total of unpacking counts bytes of an archive, a smaller one images."""


@dataclass(frozen=True)  # without slots: Qt refers to it weakly
class SourceChooser:
    """The ways to choose images; ``on_chosen`` is called with the chosen path."""

    parent: QWidget
    on_chosen: Callable[[Path], object]

    def choose_folder(self) -> None:
        """Ask for a folder."""
        self._use_path(QFileDialog.getExistingDirectory(self.parent, tr("Choose a folder of images")))

    def choose_file(self, source: Source) -> None:
        """Ask for a file of one kind of source."""
        file_filter = f"{localized(source.label)} ({' '.join(f'*{suffix}' for suffix in source.extensions)})"
        self._use_path(QFileDialog.getOpenFileName(self.parent, tr("Choose images"), "", file_filter)[0])

    def choose_list(self) -> None:
        """Ask for a list of images."""
        self.choose_file(SOURCES.get("manifest"))

    def paste(self) -> None:
        """Use the path, file or folder in the clipboard."""
        data = QGuiApplication.clipboard().mimeData()
        text = data.text().strip().strip("\"'")
        path = first_local_path(data) or (Path(text).expanduser() if text and "\n" not in text else None)
        if path is not None:
            self.on_chosen(path)

    def _use_path(self, path: str) -> None:
        if path:
            self.on_chosen(Path(path))

    def build_button(self, sample: Callable[[], object]) -> QPushButton:
        """Return a button with a menu of all ways."""
        menu_button = button(tr("Choose images"), icon="folder")
        menu = Menu(menu_button)
        menu.addAction(tr("Folder…"), self.choose_folder)
        for source in file_sources():
            menu.addAction(file_source_text(source), partial(self.choose_file, source))
        menu.addAction(tr("Paste path (Ctrl+V)"), self.paste)
        menu.addAction(tr("Sample images"), sample)
        menu_button.setMenu(menu)
        return menu_button


def file_sources() -> list[Source]:
    """Return the sources that are files; the others are folders."""
    return [source for source in SOURCES if source.extensions]


def file_source_text(source: Source) -> str:
    """Return the text of a menu item or button that asks for a file."""
    return tr("{source}…", source=localized(source.label))


class ProgressRow(QWidget):
    """A text, a progress bar and a button to stop.

    Hidden while nothing is in progress.
    """

    def __init__(self, stop: Callable[[], object]) -> None:
        super().__init__()
        self.label, self.bar = text_label("", "muted"), QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress of the check"))
        self.stop_button = button(tr("Stop"), stop, kind="quiet")
        self.setLayout(HBox(self.label, (self.bar, 1), self.stop_button, gap=10))
        self.hide()

    def show_progress(self, stage: str, done: int, total: int) -> None:
        """Show the progress of "unpack" (in bytes or images) or "check" (in images)."""
        self.label.setText(_progress_text(stage, done, total))
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(1000 * done / max(1, total)))
        self.show()


def _progress_text(stage: str, done: int, total: int) -> str:
    if stage != "unpack":
        return tr("Checking images: {done} of {total}", done=format_count(done), total=format_count(total))
    number = format_bytes if total > _MIN_BYTES else format_count
    return tr("Unpacking: {done} of {total}", done=number(done), total=number(total))


class BaselineView(QWidget):
    """The accuracy of the baseline, or the progress of its measurement."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._runner = workspace.baseline
        self.figure, self.caption = text_label("", "figure"), text_label(tr("Baseline"), "caption")
        self.button = button("", self._start_or_stop, kind="quiet")
        self.setLayout(HBox(VBox(self.caption, self.figure, gap=0), self.button, gap=6))
        self._runner.changed.connect(self.show_status)
        self.show_status(self._runner.status)

    def show_status(self, status: BaselineStatus) -> None:
        """Show the state of the measurement."""
        baseline = status.baseline
        self.setVisible(status != BaselineStatus())
        self.figure.setText(format_percent(baseline.accuracy) if baseline else "…" if status.busy else "?")
        self.caption.setText(_caption_text(status))
        self.button.setText(tr("Stop") if status.busy else tr("Measure"))
        self.button.setVisible(status.busy or not baseline)
        self.setToolTip(localized(status.error) or _tool_tip_text(status))

    def _start_or_stop(self) -> None:
        self._runner.stop() if self._runner.status.busy else self._runner.measure()


def _caption_text(status: BaselineStatus) -> str:
    if not status.busy:
        return tr("Baseline")
    if not status.total:
        return tr("Measuring baseline")
    return tr("Measuring baseline: {share}", share=format_percent(status.done / status.total, 0))


def _tool_tip_text(status: BaselineStatus) -> str:
    if status.baseline is None:
        return tr("Accuracy of a linear probe on the frozen backbone, without adapters")
    return tr_n(
        "Accuracy of a linear probe on the frozen backbone, without adapters\nMeasured on {n:,} image",
        "Accuracy of a linear probe on the frozen backbone, without adapters\nMeasured on {n:,} images",
        status.baseline.images,
    )


class SourceCard(DropZone):
    """The path of the source and its counts; another source can be dropped on it."""

    def __init__(self, workspace: Workspace, chooser: SourceChooser, sample: Callable[[], object]) -> None:
        self.source, self.counts = text_label("", "heading"), text_label("", "muted")
        self.baseline = BaselineView(workspace)
        row = HBox(
            Icon("folder", "accent", 24),
            (VBox(self.source, self.counts, gap=1), 1),
            self.baseline,
            button(tr("Check again"), workspace.images.rescan, "refresh"),
            chooser.build_button(sample),
            gap=10,
        )
        self.progress = ProgressRow(workspace.images.stop)
        super().__init__(VBox(container(row), self.progress, gap=4, margins=(16, 10, 16, 10)), "card")
        self.dropped.connect(chooser.on_chosen)
        workspace.images.progressed.connect(self.progress.show_progress)

    def show_scan(self, scan: ScanResult) -> None:
        """Show source and counts."""
        self.source.setText(
            tr("Sample images: handwritten digits") if scan.path == SAMPLE_SOURCE else _shorten_path(scan.path)
        )
        self.source.setToolTip(scan.path)
        self.counts.setText(source_counts_text(scan))
        if not scan.busy:
            self.progress.hide()


def _shorten_path(path: str) -> str:
    """Return the end of a long path."""
    return path if len(path) <= 60 else f"…{path[-58:]}"


def source_counts_text(scan: ScanResult) -> str:
    """Return the number of images, classes and images of each split."""
    if scan.summary is None:
        return tr("Reading the list of images…") if scan.busy else ""
    counts = scan.summary.counts
    parts = {
        "images": tr_n("{n:,} image", "{n:,} images", len(scan.summary.images)),
        "classes": tr_n("{n:,} class", "{n:,} classes", len(scan.summary.classes)),
        "train": format_count(counts["train"]),
        "validation": format_count(counts["validation"]),
    }
    if not counts["test"]:
        return tr("{images} in {classes}: {train} for training, {validation} for validation", **parts)
    return tr(
        "{images} in {classes}: {train} for training, {validation} for validation, {test} for testing",
        **parts,
        test=format_count(counts["test"]),
    )
