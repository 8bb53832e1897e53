"""New, open, save: read and write the document's file, and ask before anything is lost."""

from collections.abc import Callable
from logging import WARNING
from pathlib import Path
from time import localtime, strftime

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.core.paths import resource
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.ui.i18n.language import localized, tr
from studio.ui.services.app_log import app_log, log_message
from studio.ui.services.document import Document
from studio.ui.services.settings import Settings
from studio.ui.window.crash_recovery import CrashRecovery


class FileActions(QObject):
    """``opened`` carries the source of the document: "new", "recipe", "sample", or the run that was opened."""

    opened = Signal(object)

    def __init__(self, window: QWidget, document: Document, settings: Settings) -> None:
        super().__init__(window)
        self._window, self._document, self._settings = window, document, settings

    def new(self) -> None:
        """Start a new recipe."""
        if self.confirm_discard():
            self._document.new()
            self.opened.emit("new")

    def open_sample(self) -> None:
        """Open the sample project: bundled backbone, bundled images, LoRA on q and v."""
        if self.confirm_discard():
            self._document.new(Recipe.load(resource("recipes", "digits-lora.toml")))
            self.opened.emit("sample")

    def open(self) -> bool:
        """Ask for a recipe file and open it."""
        return self._ask_and_open(
            lambda: QFileDialog.getOpenFileName(self._window, tr("Open a recipe"), "", _file_filter())[0]
        )

    def open_run(self) -> None:
        """Ask for a run directory and open it."""
        self._ask_and_open(lambda: QFileDialog.getExistingDirectory(self._window, tr("Open a run")))

    def _ask_and_open(self, ask: Callable[[], str]) -> bool:
        return self.confirm_discard() and bool(path := ask()) and self.open_path(Path(path))

    def confirm_and_open(self, path: Path) -> bool:
        """Open another recipe or run, unless the user wants to keep unsaved edits."""
        return self.confirm_discard() and self.open_path(path)

    def open_path(self, path: Path) -> bool:
        """Open a recipe file or a run directory, or show why not; return whether it, or another, was opened."""
        try:
            self._open_run(Run.open(path)) if path.is_dir() else self._open_recipe(path)
        except StudioError as error:
            return self._show_problem(tr("Cannot open the file"), error.message, tr("Open another recipe…"), self.open)
        return True

    def _open_run(self, run: Run) -> None:
        self._document.new(run.recipe)
        self.opened.emit(run)

    def _open_recipe(self, path: Path) -> None:
        self._document.open(path)
        self._settings.add_recent(str(path))
        self.opened.emit("recipe")

    def offer_recovery(self, recovery: CrashRecovery) -> None:
        """Offer unsaved edits of windows that crashed, until one is restored; without an answer they are kept."""
        buttons = QMessageBox.StandardButton
        for edits in recovery.find_orphans():
            answer = QMessageBox.question(
                self._window,
                tr("Restore unsaved edits?"),
                tr(
                    "PEFT Studio ended unexpectedly. Restore the unsaved edits of {name} from {time}?",
                    name=edits.path.name if edits.path else tr("Untitled recipe"),
                    time=strftime("%Y-%m-%d %H:%M", localtime(edits.time)),
                ),
                buttons.Yes | buttons.Discard | buttons.Cancel,
            )
            if answer == buttons.Yes:
                self._document.recover(edits.recipe, edits.path)
                recovery.save()
                self.opened.emit("recipe")
            if answer in (buttons.Yes, buttons.Discard):
                recovery.discard(edits)
            if answer != buttons.Discard:
                return

    def save(self) -> bool:
        """Save to the document's file; ask for one if it has none."""
        path = self._document.path
        if path is None:
            return self.save_as()
        return self._confirm_overwrite() and self._save_to(path)

    def _confirm_overwrite(self) -> bool:
        """Return whether the file is as it was left here, or the user wants to replace it anyway."""
        if not self._document.changed_on_disk:
            return True
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self._window,
            tr("Replace the file?"),
            tr("{name} was changed by another window or program since it was opened.", name=self._document.name),
            buttons.Save | buttons.Cancel,
            buttons.Cancel,
        )
        return answer == buttons.Save

    def save_as(self) -> bool:
        """Ask for a file and save to it."""
        path, _ = QFileDialog.getSaveFileName(self._window, tr("Save the recipe"), "recipe.toml", _file_filter())
        return bool(path) and self._save_to(Path(path).with_suffix(".toml"))

    def _save_to(self, path: Path) -> bool:
        try:
            self._document.save(path)
        except OSError as error:
            message = N_(
                "Cannot write {path}: {reason}. Choose another name or folder.", path=str(path), reason=error.strerror
            )
            return self._show_problem(tr("The recipe is not saved"), message, tr("Save as…"), self.save_as)
        self._settings.add_recent(str(path))
        return True

    def confirm_discard(self) -> bool:
        """Return whether the document may be replaced: it is saved, or the user discards it."""
        if not self._document.modified:
            return True
        buttons = QMessageBox.StandardButton
        question = tr("{name} has unsaved changes.", name=self._document.name)
        choices = buttons.Save | buttons.Discard | buttons.Cancel
        answer = QMessageBox.question(self._window, tr("Save the recipe?"), question, choices)
        return self.save() if answer == buttons.Save else answer == buttons.Discard

    def _show_problem(self, heading: str, message: str, action_text: str, action: Callable[[], bool]) -> bool:
        """Show what is wrong, with a button for ``action``; return whether that was chosen and succeeded."""
        log_message(str(message), WARNING)
        box = QMessageBox(
            QMessageBox.Icon.Warning, heading, localized(message), QMessageBox.StandardButton.Close, self._window
        )
        box.setTextFormat(Qt.TextFormat.PlainText)
        chosen = box.addButton(action_text, QMessageBox.ButtonRole.AcceptRole)
        copy = box.addButton(tr("Copy report"), QMessageBox.ButtonRole.ActionRole)
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(app_log().report(str(message))))
        box.exec()
        return box.clickedButton() is chosen and action()


def _file_filter() -> str:
    return tr("Recipes") + " (*.toml)"
