"""The images of the recipe: listed, checked in the background, and checked again after changes of the recipe."""

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
"""Shortest time between two updates of the progress."""
_DRAW_WAIT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class ScanResult:
    """Images, issues and progress of the source at ``path``.

    While ``busy`` the summary is the previous one or that of the list of files. ``checked`` is True if every image was
    opened, so that all issues are known, and ``stopped`` if the user stopped the check.
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
    """One scan of a source. ``stopped`` is set by the window and read by the worker thread."""

    data: Data
    stopped: list[bool]


class ImageScanner(QObject):
    """Scans the source of the recipe; emits results and the progress of the check (activity, done, total)."""

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
        """Scan the images of ``recipe`` if its source or its settings for images have changed."""
        before, self._data = self._data, recipe.data
        if before is None or _scan_inputs(before) != _scan_inputs(recipe.data):
            if before is None or before.path != recipe.data.path:
                self._source_scan = None
            self._start_scan()

    def rescan(self) -> None:
        """Scan again, because the folder may have changed."""
        self._source_scan = None
        self.thumbnails.clear()
        self._start_scan(force=True)

    def stop(self) -> None:
        """Stop the check; the listed images can be used."""
        self._request.stopped[0] = True

    def close(self) -> None:
        """End the thread."""
        self.stop()
        self.thumbnails.close()
        self.previews.close()
        self._worker.close()

    def _start_scan(self, force: bool = False) -> None:
        data = self._data
        continues = data is not None and not force and self.scan.busy and self._request.data.path == data.path
        if not continues:
            self.stop()
        if data is None or not data.path:
            self._show(ScanResult())
            return
        request = self._request = _ScanRequest(data, self._request.stopped if continues else [False])
        summary = self.scan.summary if self.scan.path == data.path else None
        self._show(ScanResult(data.path, busy=True, checked=self._source_scan is not None, summary=summary))
        self._worker.submit(
            lambda: self._run_scan(request),
            lambda scan: self._end(request, scan),
            lambda error: self._end(request, self._failed(error)),
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
        request, summary = listed
        if request is self._request and self.scan.busy:
            self._show(replace(self.scan, summary=summary, checked=False))
        QTimer.singleShot(0, self._list_drawn.set)

    def _emit_progress(self, progress: tuple[_ScanRequest, str, int, int]) -> None:
        if progress[0].stopped is self._request.stopped and self.scan.busy:
            self.progressed.emit(*progress[1:])

    def _show(self, scan: ScanResult) -> None:
        self.scan = scan
        self.changed.emit(scan)

    # in the worker thread

    def _run_scan(self, request: _ScanRequest) -> ScanResult:
        from studio.data.checks import check_scan, scan_source
        from studio.data.dataset.index import index_source

        source, data = resolve_path(request.data.path), request.data
        scan = self._source_scan
        if scan is None or scan.source != source:
            progress = self._progress_callback(request)
            quick = data.model_copy(update={"split": data.split.model_copy(update={"copies_together": False})})
            summary = _with_cached_counts(index_source(source, quick, progress))
            self._list_drawn.clear()
            self._listed.emit((request, summary))
            # The window draws the list faster while this thread does not compete for the GIL.
            self._list_drawn.wait(_DRAW_WAIT_SECONDS)
            scan = scan_source(source, progress)
            if not request.stopped[0]:
                self._source_scan = scan
        return ScanResult(data.path, checked=True, summary=_with_cached_counts(check_scan(scan, data)))

    def _progress_callback(self, request: _ScanRequest) -> Callable[[str, int, int], None]:
        from studio.data.images.file_index import Cancelled

        last = 0.0

        def report(activity: str, done: int, total: int) -> None:
            nonlocal last
            if request.stopped[0]:
                raise Cancelled
            if time.monotonic() - last > _PROGRESS_SECONDS:
                last = time.monotonic()
                self._progressed.emit((request, activity, done, total))

        return report


def _with_cached_counts(summary: "DatasetIndex") -> "DatasetIndex":
    """Return ``summary`` with its cached counts computed, which takes too long in the window for many images."""
    _ = summary.class_splits, summary.by_path
    return summary


def _scan_inputs(data: Data) -> tuple[object, ...]:
    """Return the settings that decide the used images, their classes and splits, and the shown issues."""
    return data.path, data.split, data.excluded, data.labels, data.split_overrides, data.acknowledged
