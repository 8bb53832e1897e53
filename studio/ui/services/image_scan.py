"""The recipe's images: listed, checked in the background, and judged again whenever the recipe decides otherwise."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from studio.core.paths import resolve_path
from studio.core.recipe import Data, Recipe
from studio.ui.services.background import Lane, sentence
from studio.ui.services.thumbnails import Thumbnails
from studio.ui.services.transform_preview import Previews

if TYPE_CHECKING:
    from studio.data.checks import SourceScan
    from studio.data.dataset.index import DatasetIndex

_TELL_SECONDS = 0.1
"""Progress is shown no more often than this."""
_TO_DRAW_S = 0.25


@dataclass(frozen=True, slots=True)
class Scan:
    """What is known of the source at ``path``.

    While ``busy`` the summary is that of before, or of the list alone; ``checked`` where every image was opened, so
    that all findings are there; ``stopped`` where the user did not want to wait for that.
    """

    path: str = ""
    busy: bool = False
    checked: bool = False
    stopped: bool = False
    summary: "DatasetIndex | None" = None
    error: str = ""

    @property
    def classes(self) -> int:
        """Number of classes; 0 while unknown."""
        return len(self.summary.classes) if self.summary else 0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One look at a source. ``stopped`` is set by the window and read by the lane."""

    data: Data
    stopped: list[bool]


class Images(QObject):
    """Follows the recipe; tells what is in its source, and how far the check is (what is done, how much, of what)."""

    changed = Signal(object)
    progressed = Signal(str, int, int)
    _listed = Signal(object)
    _reached = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = Lane("images", self)
        self.thumbnails = Thumbnails(self)
        self.previews = Previews(self)
        self._data: Data | None = None
        self._wanted = _Wanted(Data(), [True])
        self._looked: SourceScan | None = None
        self._drawn = threading.Event()
        self._listed.connect(self._show_list, Qt.ConnectionType.QueuedConnection)
        self._reached.connect(self._tell, Qt.ConnectionType.QueuedConnection)
        self.scan = Scan()

    def follow(self, recipe: Recipe) -> None:
        """Look at the images of ``recipe`` where they, or what it decides about them, are other than before."""
        before, self._data = self._data, recipe.data
        if before is None or _decided(before) != _decided(recipe.data):
            if before is None or before.path != recipe.data.path:
                self._looked = None
            self._look()

    def rescan(self) -> None:
        """Look again: the folder may have changed."""
        self._looked = None
        self.thumbnails.forget()
        self._look(anew=True)

    def stop(self) -> None:
        """Do without the check; what is listed can be used."""
        self._wanted.stopped[0] = True

    def close(self) -> None:
        """End the thread."""
        self.stop()
        self.thumbnails.close()
        self.previews.close()
        self._lane.close()

    def _look(self, anew: bool = False) -> None:
        data = self._data
        goes_on = data is not None and not anew and self.scan.busy and self._wanted.data.path == data.path
        if not goes_on:
            self.stop()
        if data is None or not data.path:
            self._show(Scan())
            return
        wanted = self._wanted = _Wanted(data, self._wanted.stopped if goes_on else [False])
        summary = self.scan.summary if self.scan.path == data.path else None
        self._show(Scan(data.path, busy=True, checked=self._looked is not None, summary=summary))
        self._lane.submit(
            lambda: self._found(wanted),
            lambda scan: self._end(wanted, scan),
            lambda error: self._end(wanted, self._failed(error)),
            key="scan",
        )

    def _end(self, wanted: _Wanted, scan: Scan) -> None:
        if wanted is self._wanted:
            self._show(scan)

    def _failed(self, error: Exception) -> Scan:
        from studio.data.images.file_index import Cancelled

        if isinstance(error, Cancelled):
            return replace(self.scan, busy=False, stopped=True)
        return Scan(self.scan.path, error=sentence(error))

    def _show_list(self, listed: tuple[_Wanted, "DatasetIndex"]) -> None:
        wanted, summary = listed
        if wanted is self._wanted and self.scan.busy:
            self._show(replace(self.scan, summary=summary, checked=False))
        QTimer.singleShot(0, self._drawn.set)

    def _tell(self, reached: tuple[_Wanted, str, int, int]) -> None:
        if reached[0].stopped is self._wanted.stopped and self.scan.busy:
            self.progressed.emit(*reached[1:])

    def _show(self, scan: Scan) -> None:
        self.scan = scan
        self.changed.emit(scan)

    # on the lane's thread

    def _found(self, wanted: _Wanted) -> Scan:
        from studio.data.checks import check_scan, scan_source
        from studio.data.dataset.index import index_source

        source, data = resolve_path(wanted.data.path), wanted.data
        looked = self._looked
        if looked is None or looked.source != source:
            progress = self._teller(wanted)
            quick = data.model_copy(update={"split": data.split.model_copy(update={"copies_together": False})})
            summary = _counted(index_source(source, quick, progress))
            self._drawn.clear()
            self._listed.emit((wanted, summary))
            self._drawn.wait(_TO_DRAW_S)  # a list is drawn faster by a window that has Python's lock to itself
            looked = scan_source(source, progress)
            if not wanted.stopped[0]:
                self._looked = looked
        return Scan(data.path, checked=True, summary=_counted(check_scan(looked, data)))

    def _teller(self, wanted: _Wanted) -> Callable[[str, int, int], None]:
        from studio.data.images.file_index import Cancelled

        told = 0.0

        def tell(doing: str, done: int, total: int) -> None:
            nonlocal told
            if wanted.stopped[0]:
                raise Cancelled
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                self._reached.emit((wanted, doing, done, total))

        return tell


def _counted(summary: "DatasetIndex") -> "DatasetIndex":
    """With what the window shows of it counted already: for very many images that takes longer than it may wait."""
    _ = summary.class_splits, summary.by_path
    return summary


def _decided(data: Data) -> tuple[object, ...]:
    """All that decides which images are used, in which class and split, and what is said of them."""
    return data.path, data.split, data.excluded, data.labels, data.split_overrides, data.acknowledged
