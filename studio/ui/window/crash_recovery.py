"""Crash recovery: unsaved edits are saved a moment after each, and offered again after a crash."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from logging import WARNING
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, QTimer

from studio.core import paths
from studio.core.errors import StudioError
from studio.core.files import write_json
from studio.core.recipe import Recipe
from studio.ui.services.app_log import log_message
from studio.ui.services.document import Document

DELAY_MS = 800
"""Time from the first unsaved edit until it is saved; further edits do not delay that."""


@dataclass(frozen=True, slots=True)
class RecoveredEdits:
    """Unsaved edits of a window that crashed; ``path`` is the recipe's file, None without one."""

    file: Path
    recipe: Recipe
    path: Path | None
    time: float


class CrashRecovery(QObject):
    """Saves the edits of one document to a file of its own, under a lock that ends with the process."""

    def __init__(self, document: Document) -> None:
        super().__init__(document)
        self._document = document
        self._folder = paths.data_dir() / "recovery"
        self._file = self._folder / f"{os.getpid()}-{id(self):x}.json"
        self._lock: QLockFile | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.timeout.connect(self.save)
        document.changed.connect(self._schedule_save)
        document.file_changed.connect(self._schedule_save)

    def _schedule_save(self, *_: object) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def save(self) -> None:
        """Save the unsaved edits, or remove the file if there are none."""
        if not self._document.modified:
            self.clear()
            return
        path = self._document.path
        try:
            self._acquire_lock()
            write_json(self._file, {"path": str(path) if path else "", "recipe": self._document.recipe.dumps()})
        except OSError as error:
            log_message(f"Unsaved edits cannot be saved to {self._folder}: {error.strerror}.", WARNING)

    def _acquire_lock(self) -> None:
        if self._lock is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self._file)
            self._lock.tryLock(0)

    def clear(self) -> None:
        """Remove the file: the recipe is saved, or the user discards it."""
        self._timer.stop()
        with suppress(OSError):
            self._file.unlink()
        if self._lock is not None:
            self._lock.unlock()
            self._lock = None

    def find_orphans(self) -> list[RecoveredEdits]:
        """Return the unsaved edits of windows that crashed, the newest first."""
        files = [file for file in self._folder.glob("[0-9]*.json") if _is_orphan(file)]  # not the temporary ones
        return sorted((edits for file in files if (edits := _read(file))), key=lambda edits: -edits.time)

    def discard(self, edits: RecoveredEdits) -> None:
        """Remove the file of ``edits``."""
        with suppress(OSError):
            edits.file.unlink()


def _lock(file: Path) -> QLockFile:
    lock = QLockFile(str(file.with_suffix(".lock")))
    lock.setStaleLockTime(0)  # a window may be open for days
    return lock


def _is_orphan(file: Path) -> bool:
    """Return whether the process that wrote ``file`` has ended: then its lock is free."""
    lock = _lock(file)
    free = lock.tryLock(0)
    if free:
        lock.unlock()
    return free


def _read(file: Path) -> RecoveredEdits | None:
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        path = Path(saved["path"]) if saved["path"] else None
        return RecoveredEdits(file, Recipe.loads(saved["recipe"], str(file)), path, file.stat().st_mtime)
    except (OSError, ValueError, KeyError, TypeError, StudioError) as error:
        log_message(f"The unsaved edits in {file} cannot be read: {error}.")
        return None
