"""Unsaved edits are kept in the user's folder a moment after each, and offered again after a crash."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from logging import WARNING
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, QTimer

from studio.core import paths
from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.ui.services.app_log import log_message
from studio.ui.services.document import Document

DELAY_MS = 800
"""So long after an edit it is kept; edits in between put it off no further."""


@dataclass(frozen=True, slots=True)
class RecoveredEdits:
    """Edits that a window which ended badly had not saved: ``path`` is the file of the recipe, None without one."""

    file: Path
    recipe: Recipe
    path: Path | None
    time: float


class CrashRecovery(QObject):
    """Keeps the edits of one document in a file of its own, under a lock that ends with the process."""

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
        document.changed.connect(lambda recipe: self._schedule_save())
        document.file_changed.connect(self._schedule_save)

    def _schedule_save(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def save(self) -> None:
        """Write down what is not saved, or forget what was."""
        if not self._document.modified:
            self.clear()
            return
        path = self._document.path
        words = {"path": str(path) if path else "", "recipe": self._document.recipe.dumps()}
        try:
            self._acquire_lock()
            beside = self._file.with_suffix(".new")
            beside.write_text(json.dumps(words), encoding="utf-8")
            beside.replace(self._file)
        except OSError as error:
            log_message(f"Unsaved edits cannot be kept in {self._folder}: {error.strerror}.", WARNING)

    def _acquire_lock(self) -> None:
        if self._lock is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self._file)
            self._lock.tryLock(0)

    def clear(self) -> None:
        """There is nothing to keep: the recipe is saved, or the user does not want it."""
        self._timer.stop()
        with suppress(OSError):
            self._file.unlink()
        if self._lock is not None:
            self._lock.unlock()
            self._lock = None

    def find_orphans(self) -> list[RecoveredEdits]:
        """What windows that ended badly had not saved, the newest first."""
        found = [kept for file in self._folder.glob("*.json") if _is_orphan(file) and (kept := _read(file))]
        return sorted(found, key=lambda kept: -kept.time)

    def discard(self, edits: RecoveredEdits) -> None:
        """Forget what was left behind."""
        with suppress(OSError):
            edits.file.unlink()


def _lock(file: Path) -> QLockFile:
    lock = QLockFile(str(file.with_suffix(".lock")))
    lock.setStaleLockTime(0)  # an old lock is no proof of a crash: the window may have been open for days
    return lock


def _is_orphan(file: Path) -> bool:
    """Whether the process that wrote ``file`` is gone: then Qt gives us its lock."""
    lock = _lock(file)
    free = lock.tryLock(0)
    if free:
        lock.unlock()
    return free


def _read(file: Path) -> RecoveredEdits | None:
    try:
        words = json.loads(file.read_text(encoding="utf-8"))
        path = Path(words["path"]) if words["path"] else None
        return RecoveredEdits(file, Recipe.loads(words["recipe"], str(file)), path, file.stat().st_mtime)
    except (OSError, ValueError, KeyError, TypeError, StudioError) as error:
        log_message(f"The unsaved edits in {file} cannot be read: {error}.")
        return None
