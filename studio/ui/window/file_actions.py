"""New, open, save: the document's way to and from files, with the questions that belong to it."""

from collections.abc import Callable
from logging import WARNING
from pathlib import Path
from time import localtime, strftime

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from studio.core.errors import StudioError
from studio.core.paths import resource
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.ui.i18n.language import tr
from studio.ui.services.app_log import app_log, log_message
from studio.ui.services.document import Document
from studio.ui.services.settings import Settings
from studio.ui.window.crash_recovery import CrashRecovery


class FileActions(QObject):
    """``opened`` tells what came into the document: "new", "recipe", "sample", or the run that was opened."""

    opened = Signal(object)

    def __init__(self, window: QWidget, document: Document, settings: Settings) -> None:
        super().__init__(window)
        self._window, self._document, self._settings = window, document, settings

    def new(self) -> None:
        """Begin a new recipe."""
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
        """Open another recipe or run, unless there are edits that the user wants to keep."""
        return self.confirm_discard() and self.open_path(path)

    def open_path(self, path: Path) -> bool:
        """Open a recipe file or a run directory; say why where it cannot be. Whether it, or another, was opened."""
        try:
            self._open_run(Run.open(path)) if path.is_dir() else self._open_recipe(path)
        except StudioError as error:
            return self._show_problem(
                tr("This cannot be opened"), tr(str(error)), tr("Open another recipe…"), self.open
            )
        return True

    def _open_run(self, run: Run) -> None:
        self._document.new(run.recipe)
        self.opened.emit(run)

    def _open_recipe(self, path: Path) -> None:
        self._document.open(path)
        self._settings.add_recent(str(path))
        self.opened.emit("recipe")

    def offer_recovery(self, recovery: CrashRecovery) -> None:
        """Offer what windows that ended badly had not saved, until one is taken; without an answer it stays."""
        buttons = QMessageBox.StandardButton
        for kept in recovery.find_orphans():
            answer = QMessageBox.question(
                self._window,
                tr("Restore unsaved edits?"),
                tr(
                    "PEFT Studio ended without saving edits of {name}, made {time}. Restore them?",
                    name=kept.path.name if kept.path else tr("Untitled recipe"),
                    time=strftime("%Y-%m-%d %H:%M", localtime(kept.time)),
                ),
                buttons.Yes | buttons.Discard | buttons.Cancel,
            )
            if answer == buttons.Yes:
                self._document.recover(kept.recipe, kept.path)
                recovery.save()
                self.opened.emit("recipe")
            if answer in (buttons.Yes, buttons.Discard):
                recovery.discard(kept)
            if answer != buttons.Discard:
                return

    def save(self) -> bool:
        """Save to the document's file; ask for one where it has none."""
        path = self._document.path
        if path is None:
            return self.save_as()
        return self._confirm_overwrite() and self._save_to(path)

    def _confirm_overwrite(self) -> bool:
        """Whether the document's file is as it was left here, or the user wants it replaced all the same."""
        if not self._document.changed_on_disk:
            return True
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self._window,
            tr("Replace the file?"),
            tr("{name} was changed by another window or program since it was opened here.", name=self._document.name),
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
            words = tr(
                "{path} cannot be written: {reason}. Save it under another name, or in another folder.",
                path=path,
                reason=error.strerror,
            )
            return self._show_problem(tr("The recipe is not saved"), words, tr("Save as…"), self.save_as)
        self._settings.add_recent(str(path))
        return True

    def confirm_discard(self) -> bool:
        """Whether the document may be given up: saved, or the user does not want it."""
        if not self._document.modified:
            return True
        buttons = QMessageBox.StandardButton
        words = tr("{name} has changes that are not saved.", name=self._document.name)
        choices = buttons.Save | buttons.Discard | buttons.Cancel
        answer = QMessageBox.question(self._window, tr("Save the recipe?"), words, choices)
        return self.save() if answer == buttons.Save else answer == buttons.Discard

    def _show_problem(self, heading: str, message: str, action_text: str, action: Callable[[], bool]) -> bool:
        """Say what is wrong, with a button that leads on; whether what it leads to was done."""
        log_message(message, WARNING)
        box = QMessageBox(QMessageBox.Icon.Warning, heading, message, QMessageBox.StandardButton.Close, self._window)
        box.setTextFormat(Qt.TextFormat.PlainText)
        leads_on = box.addButton(action_text, QMessageBox.ButtonRole.AcceptRole)
        copy = box.addButton(tr("Copy report"), QMessageBox.ButtonRole.ActionRole)
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(app_log().report(message)))
        box.exec()
        return box.clickedButton() is leads_on and action()


def _file_filter() -> str:
    return tr("Recipes") + " (*.toml)"
