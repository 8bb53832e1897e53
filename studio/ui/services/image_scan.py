"""The recipe's images: listed, checked in the background, and judged again whenever the recipe decides otherwise."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from studio.core.paths import resolve_path
from studio.core.recipe import Data, Recipe
from studio.ui.services.background import WorkerThread
from studio.ui.services.error_text import error_message
from studio.ui.services.thumbnails import Thumbnails
from studio.ui.services.transform_preview import PreviewRenderer

if TYPE_CHECKING:
    from studio.data.checks import SourceScan
    from studio.data.dataset.index import DatasetIndex

_PROGRESS_SECONDS = 0.1
"""Progress is shown no more often than this."""
_DRAW_WAIT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class ScanResult:
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
class _ScanRequest:
    """One look at a source. ``stopped`` is set by the window and read by the lane."""

    data: Data
    stopped: list[bool]


class ImageScanner(QObject):
    """Follows the recipe; tells what is in its source, and how far the check is (what is done, how much, of what)."""

    changed = Signal(object)
    progressed = Signal(str, int, int)
    _listed = Signal(object)
    _progressed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = WorkerThread("images", self)
        self.thumbnails = Thumbnails(self)
        self.previews = PreviewRenderer(self)
        self._data: Data | None = None
        self._request = _ScanRequest(Data(), [True])
        self._source_scan: SourceScan | None = None
        self._list_drawn = threading.Event()
        self._listed.connect(self._show_list, Qt.ConnectionType.QueuedConnection)
        self._progressed.connect(self._emit_progress, Qt.ConnectionType.QueuedConnection)
        self.scan = ScanResult()

    def update_recipe(self, recipe: Recipe) -> None:
        """Look at the images of ``recipe`` where they, or what it decides about them, are other than before."""
        before, self._data = self._data, recipe.data
        if before is None or _scan_inputs(before) != _scan_inputs(recipe.data):
            if before is None or before.path != recipe.data.path:
                self._source_scan = None
            self._start_scan()

    def rescan(self) -> None:
        """Look again: the folder may have changed."""
        self._source_scan = None
        self.thumbnails.clear()
        self._start_scan(force=True)

    def stop(self) -> None:
        """Do without the check; what is listed can be used."""
        self._request.stopped[0] = True

    def close(self) -> None:
        """End the thread."""
        self.stop()
        self.thumbnails.close()
        self.previews.close()
        self._worker.close()

    def _start_scan(self, force: bool = False) -> None:
        data = self._data
        goes_on = data is not None and not force and self.scan.busy and self._request.data.path == data.path
        if not goes_on:
            self.stop()
        if data is None or not data.path:
            self._show(ScanResult())
            return
        wanted = self._request = _ScanRequest(data, self._request.stopped if goes_on else [False])
        summary = self.scan.summary if self.scan.path == data.path else None
        self._show(ScanResult(data.path, busy=True, checked=self._source_scan is not None, summary=summary))
        self._worker.submit(
            lambda: self._run_scan(wanted),
            lambda scan: self._end(wanted, scan),
            lambda error: self._end(wanted, self._failed(error)),
            key="scan",
        )

    def _end(self, request: _ScanRequest, scan: ScanResult) -> None:
        if request is self._request:
            self._show(scan)

    def _failed(self, error: Exception) -> ScanResult:
        from studio.data.images.file_index import Cancelled

        if isinstance(error, Cancelled):
            return replace(self.scan, busy=False, stopped=True)
        return ScanResult(self.scan.path, error=error_message(error))

    def _show_list(self, listed: tuple[_ScanRequest, "DatasetIndex"]) -> None:
        wanted, summary = listed
        if wanted is self._request and self.scan.busy:
            self._show(replace(self.scan, summary=summary, checked=False))
        QTimer.singleShot(0, self._list_drawn.set)

    def _emit_progress(self, progress: tuple[_ScanRequest, str, int, int]) -> None:
        if progress[0].stopped is self._request.stopped and self.scan.busy:
            self.progressed.emit(*progress[1:])

    def _show(self, scan: ScanResult) -> None:
        self.scan = scan
        self.changed.emit(scan)

    # on the lane's thread

    def _run_scan(self, request: _ScanRequest) -> ScanResult:
        from studio.data.checks import check_scan, scan_source
        from studio.data.dataset.index import index_source

        source, data = resolve_path(request.data.path), request.data
        looked = self._source_scan
        if looked is None or looked.source != source:
            progress = self._progress_callback(request)
            quick = data.model_copy(update={"split": data.split.model_copy(update={"copies_together": False})})
            summary = _with_cached_counts(index_source(source, quick, progress))
            self._list_drawn.clear()
            self._listed.emit((request, summary))
            self._list_drawn.wait(
                _DRAW_WAIT_SECONDS
            )  # a list is drawn faster by a window that has Python's lock to itself
            looked = scan_source(source, progress)
            if not request.stopped[0]:
                self._source_scan = looked
        return ScanResult(data.path, checked=True, summary=_with_cached_counts(check_scan(looked, data)))

    def _progress_callback(self, request: _ScanRequest) -> Callable[[str, int, int], None]:
        from studio.data.images.file_index import Cancelled

        told = 0.0

        def tell(doing: str, done: int, total: int) -> None:
            nonlocal told
            if request.stopped[0]:
                raise Cancelled
            if time.monotonic() - told > _PROGRESS_SECONDS:
                told = time.monotonic()
                self._progressed.emit((request, doing, done, total))

        return tell


def _with_cached_counts(summary: "DatasetIndex") -> "DatasetIndex":
    """With what the window shows of it counted already: for very many images that takes longer than it may wait."""
    _ = summary.class_splits, summary.by_path
    return summary


def _scan_inputs(data: Data) -> tuple[object, ...]:
    """All that decides which images are used, in which class and split, and what is said of them."""
    return data.path, data.split, data.excluded, data.labels, data.split_overrides, data.acknowledged
