"""Where the images come from, how far the check of them is, and the number to beat."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QProgressBar, QPushButton, QWidget

from studio.core.paths import BUNDLED_PREFIX
from studio.ui.i18n.language import tr
from studio.ui.services.baseline import Beat
from studio.ui.services.image_scan import Scan
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import count, percent, plural
from studio.ui.widgets.components import Column, Picture, Row, button, holder, text
from studio.ui.widgets.drop_zone import DropZone, first_path
from studio.ui.widgets.menu import Menu

SAMPLE = f"{BUNDLED_PREFIX}digits"
_ARCHIVES = "*.zip *.tar *.tar.gz *.tgz *.tar.bz2 *.tbz2 *.tar.xz *.txz"
_LISTS = "*.csv *.tsv *.parquet *.pq"
_DOING = {
    "unpack": "Unpacking: {done} of {total}",
    "check": "Looking at the images: {done} of {total}",
}


@dataclass(frozen=True)  # without slots: Qt refers to it weakly
class Chooser:
    """The ways to choose images; ``use`` is told the path that was chosen."""

    parent: QWidget
    use: Callable[[Path], object]

    def folder(self) -> None:
        """Ask for a folder."""
        self._take(QFileDialog.getExistingDirectory(self.parent, tr("Choose a folder of images")))

    def archive(self) -> None:
        """Ask for a zip or tar archive."""
        kinds = f"{tr('Archives')} ({_ARCHIVES})"
        self._take(QFileDialog.getOpenFileName(self.parent, tr("Choose an archive of images"), "", kinds)[0])

    def list_(self) -> None:
        """Ask for a list of images."""
        kinds = f"{tr('Lists')} ({_LISTS})"
        self._take(QFileDialog.getOpenFileName(self.parent, tr("Choose a list of images"), "", kinds)[0])

    def paste(self) -> None:
        """Take the path, or the file or folder, that is in the clipboard."""
        data = QGuiApplication.clipboard().mimeData()
        words = data.text().strip().strip("\"'")
        path = first_path(data) or (Path(words).expanduser() if words and "\n" not in words else None)
        if path is not None:
            self.use(path)

    def _take(self, path: str) -> None:
        if path:
            self.use(Path(path))

    def button(self, sample: Callable[[], object]) -> QPushButton:
        """A button with all of them."""
        made = button(tr("Choose"), icon="folder")
        menu = Menu(made)
        menu.addAction(tr("A folder…"), self.folder)
        menu.addAction(tr("A zip or tar archive…"), self.archive)
        menu.addAction(tr("A CSV or Parquet list…"), self.list_)
        menu.addAction(tr("What was copied (Ctrl+V)"), self.paste)
        menu.addAction(tr("The sample images"), sample)
        made.setMenu(menu)
        return made


class ProgressRow(QWidget):
    """A bar with words and a button to stop; hidden while nothing is to be said."""

    def __init__(self, stop: Callable[[], object]) -> None:
        super().__init__()
        self.words, self.bar = text("", "muted"), QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress of the check"))
        self.stop = button(tr("Stop"), stop, kind="quiet")
        self.setLayout(Row(self.words, (self.bar, 1), self.stop, gap=10))
        self.hide()

    def show_progress(self, doing: str, done: int, total: int) -> None:
        """Show how far the work is."""
        shown = (
            (f"{done / 1e6:.0f} MB", f"{total / 1e6:.0f} MB")
            if _is_bytes(doing, total)
            else (count(done), count(total))
        )
        self.words.setText(tr(_DOING.get(doing, _DOING["check"]), done=shown[0], total=shown[1]))
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(1000 * done / max(1, total)))
        self.show()


def _is_bytes(doing: str, total: int) -> bool:
    """Whether progress counts bytes of an archive, and not images."""
    return doing == "unpack" and total > 1_000_000


class NumberView(QWidget):
    """The number to beat: a figure, or how far its measurement is."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._number = workspace.to_beat
        self.figure, self.caption = text("", "figure"), text(tr("Number to beat"), "caption")
        self.button = button("", self._press, kind="quiet")
        self.setLayout(Row(Column(self.caption, self.figure, gap=0), self.button, gap=6))
        self._number.changed.connect(self.show_beat)
        self.show_beat(self._number.beat)

    def show_beat(self, beat: Beat) -> None:
        """Show where the measurement stands."""
        found = beat.baseline
        self.setVisible(beat != Beat())
        self.figure.setText(percent(found.accuracy) if found else "…" if beat.busy else "?")
        self.caption.setText(_caption(beat))
        self.button.setText(tr("Stop") if beat.busy else tr("Measure"))
        self.button.setVisible(beat.busy or not found)
        self.setToolTip(tr(beat.error) or _told(beat))

    def _press(self) -> None:
        self._number.stop() if self._number.beat.busy else self._number.measure()


def _caption(beat: Beat) -> str:
    if not beat.busy:
        return tr("Number to beat")
    if not beat.total:
        return tr("Measuring the number to beat")
    return tr("Number to beat: {share} measured", share=percent(beat.done / beat.total, 0))


def _told(beat: Beat) -> str:
    words = tr("What the backbone reaches with nothing attached: frozen features and a linear probe.")
    if beat.baseline is None:
        return words
    return f"{words}\n{tr('Measured on {n} images.', n=count(beat.baseline.images))}"


class SourceCard(DropZone):
    """Names the source, counts what is in it, and takes another one that is dropped on it."""

    def __init__(self, workspace: Workspace, chooser: Chooser, sample: Callable[[], object]) -> None:
        self.source, self.counts = text("", "heading"), text("", "muted")
        self.number = NumberView(workspace)
        row = Row(
            Picture("folder", "accent", 24),
            (Column(self.source, self.counts, gap=1), 1),
            self.number,
            button(tr("Look again"), workspace.images.rescan, "refresh"),
            chooser.button(sample),
            gap=10,
        )
        self.progress = ProgressRow(workspace.images.stop)
        super().__init__(Column(holder(row), self.progress, gap=4, margins=(16, 10, 16, 10)), "card")
        self.dropped.connect(chooser.use)
        workspace.images.progressed.connect(self.progress.show_progress)

    def show_scan(self, scan: Scan) -> None:
        """Show source and counts."""
        self.source.setText(tr("Sample images: handwritten digits") if scan.path == SAMPLE else _short(scan.path))
        self.source.setToolTip(scan.path)
        self.counts.setText(counted(scan))
        if not scan.busy:
            self.progress.hide()


def _short(path: str) -> str:
    """The end of a long path."""
    return path if len(path) <= 60 else f"…{path[-58:]}"


def counted(scan: Scan) -> str:
    """How many images there are for what."""
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
