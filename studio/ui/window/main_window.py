"""The main window: menus, pages and status bar over one document."""

from logging import WARNING
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QAction, QCloseEvent
from PySide6.QtWidgets import QApplication, QDialog, QMainWindow, QMenu, QMenuBar, QMessageBox
from shiboken6 import delete

from studio import __version__
from studio.core import paths
from studio.core.messages import N_
from studio.core.run import Run
from studio.ui.i18n.language import CHINESE, ENGLISH, language, tr
from studio.ui.pages.base import Page
from studio.ui.pages.registry import PAGES
from studio.ui.services.app_log import log_message
from studio.ui.services.background import listen
from studio.ui.services.settings import Settings
from studio.ui.services.workspace import Workspace
from studio.ui.style.theme import theme
from studio.ui.widgets.drop_zone import FileDropFilter
from studio.ui.window.actions import build_menus
from studio.ui.window.crash_recovery import CrashRecovery
from studio.ui.window.file_actions import FileActions
from studio.ui.window.recent_menu import RecentMenu
from studio.ui.window.settings_dialogs import SettingsDialog, ShortcutsDialog, set_language, set_theme, show_folder
from studio.ui.window.status_bar import Status
from studio.ui.window.view import WindowState, WindowView, title

_RETRY_MS = 200
"""Pause before the window is built anew, while a dialog or a task of a page must not be interrupted."""
_PAINT_MS = 20
"""Pause until the new content is painted: building and painting together would block the window for too long."""


class MainWindow(QMainWindow):
    """Owns the services; its content is built anew from them when language or theme change."""

    actions_by_slot: dict[str, QAction]
    view: WindowView

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.settings = settings or Settings()
        self.workspace = Workspace()
        self.files = FileActions(self, self.workspace.document, self.settings)
        self.recovery = CrashRecovery(self.workspace.document)
        self._rebuild_timer = QTimer(self)
        self._rebuild_timer.setSingleShot(True)
        self._rebuild_timer.timeout.connect(self._rebuild)
        self._saved_state: WindowState | None = None
        self.setMinimumSize(1080, 680)
        self.resize(1360, 860)
        self._build(WindowState(status=Status(N_("Loading the engine…"), "refresh")))
        self._connect()

    def _build(self, state: WindowState) -> None:
        bar = QMenuBar()
        self.actions_by_slot = build_menus(self, bar)
        self.recent = RecentMenu(self.settings, self.files.confirm_and_open, bar)
        file_menu = self.actions_by_slot["files.open_run"].associatedObjects()[0]
        if isinstance(file_menu, QMenu):
            file_menu.insertMenu(self.actions_by_slot["files.open_run"], self.recent)
        self.setMenuBar(bar)
        self.view = WindowView(self.workspace, self.actions_by_slot, state)
        self.setCentralWidget(self.view)
        self._update_title()

    def _connect(self) -> None:
        workspace = self.workspace
        FileDropFilter(self).dropped.connect(self._dropped)
        self.files.opened.connect(self._opened)
        workspace.sample_requested.connect(self.files.open_sample)
        workspace.document.file_changed.connect(self._update_title)
        workspace.document.changed.connect(self._update_title)
        workspace.engine.loaded.connect(self._report_plugin_errors)
        language().changed.connect(self._rebuild)
        theme().about_to_change.connect(self._remove_view)
        theme().changed.connect(self._rebuild)
        for signal in (workspace.edit_rejected, workspace.engine.load_failed):
            listen(self, signal, lambda text: log_message(str(text), WARNING))
        listen(self, workspace.trainer.started, lambda run: log_message(f"Training of {run.path} started."))
        listen(
            self, workspace.trainer.ended, lambda run: log_message(f"Training of {run.path} ended.") if run else None
        )

    def start(self, path: Path | None = None) -> None:
        """Start to load the engine; open the recipe or run at ``path``, or offer edits that a crash left unsaved."""
        if path is not None:
            self.files.open_path(path)
        self.files.offer_recovery(self.recovery)
        QTimer.singleShot(0, self.workspace.start)

    # another language or theme

    @property
    def _busy(self) -> bool:
        """Whether a dialog is open or a page waits for its task, which must not be interrupted."""
        modal = QApplication.activeModalWidget()
        return (modal is not None and not isinstance(modal, SettingsDialog)) or self.workspace.worker.busy

    def _remove_view(self) -> None:
        """Delete the content before the theme changes: with it, that took Qt one to two seconds."""
        if not self._busy:
            self._saved_state = self.view.state()
            delete(self.view)

    def _rebuild(self, *_: object) -> None:
        """Build menus and pages anew from the services, now or when the window is not busy."""
        if self._saved_state is None and self._busy:
            self._rebuild_timer.start(_RETRY_MS)
            return
        self.workspace.document.retranslate_history()
        state, self._saved_state = self._saved_state or self.view.state(), None
        reopen = self._close_dialogs()
        self.setUpdatesEnabled(False)
        self._build(state)
        QTimer.singleShot(_PAINT_MS, self, lambda: self.setUpdatesEnabled(True))
        if reopen:
            self.show_settings()

    def _close_dialogs(self) -> bool:
        """Close the dialogs, whose texts are of the language before; return whether that of the settings was open."""
        shown = [dialog for dialog in self.findChildren(QDialog) if dialog.isVisible()]
        for dialog in shown:
            dialog.reject()
        return any(isinstance(dialog, SettingsDialog) for dialog in shown)

    def light(self) -> None:
        """Use the light theme."""
        set_theme(self.settings, "light")

    def dark(self) -> None:
        """Use the dark theme."""
        set_theme(self.settings, "dark")

    def system_theme(self) -> None:
        """Use the theme of the system."""
        set_theme(self.settings, "system")

    def english(self) -> None:
        """Use English."""
        self._use_language(ENGLISH)

    def chinese(self) -> None:
        """Use Chinese."""
        self._use_language(CHINESE)

    def _use_language(self, choice: str) -> None:
        if problem := set_language(self.settings, choice):
            self.view.status_bar.show_status(Status(problem, "warning", "adapter"))

    # pages

    def page(self, name: str) -> Page:
        """Return the page called ``name``, built now if it is not yet."""
        return self.view.pages.page(name)

    def show_page(self, name: str) -> None:
        """Bring the page called ``name`` into view."""
        self.view.show_page(name)

    # the document

    def _opened(self, source: object) -> None:
        if isinstance(source, Run):
            self.workspace.runs.select(source)
        self.show_page("train" if isinstance(source, Run) else "data" if source == "new" else "adapters")

    def _dropped(self, path: Path) -> None:
        """Open a recipe or a run; use anything else as images."""
        if path.suffix == ".toml" or (path / "events.jsonl").is_file():
            self.files.confirm_and_open(path)
            return
        self.workspace.use_images(path)
        self.show_page("data")

    def undo(self) -> None:
        """Undo the last edit."""
        self.workspace.document.undo_stack.undo()

    def redo(self) -> None:
        """Redo the edit that was undone."""
        self.workspace.document.undo_stack.redo()

    def _update_title(self, *_: object) -> None:
        self.setWindowTitle(title(self.workspace))
        self.setWindowModified(self.workspace.document.modified)

    # training

    def start_training(self) -> None:
        """Show the page of the training and train the recipe."""
        self.show_page("train")
        if not self.workspace.trainer.running:
            self.workspace.trainer.start(self.workspace.recipe)

    def stop_training(self) -> None:
        """Ask the run to stop."""
        self.workspace.trainer.stop()

    def show_runs_folder(self) -> None:
        """Show the runs folder in the file manager; its parent if there is none yet."""
        show_folder(str(paths.runs_dir() if paths.runs_dir().is_dir() else paths.data_dir()))

    # dialogs

    def show_settings(self) -> None:
        """Show language, theme and folders."""
        dialog = SettingsDialog(self.settings, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def show_keys(self) -> None:
        """Show the keyboard shortcuts."""
        ShortcutsDialog(self).open()

    def about(self) -> None:
        """Show what the program is."""
        QMessageBox.about(
            self,
            tr("About PEFT Studio"),
            tr(
                "PEFT Studio {version}\n\nFine-tune vision networks by attaching adapters to layers.",
                version=__version__,
            ),
        )

    def _report_plugin_errors(self) -> None:
        """Log the plugins that cannot be loaded, and show the last of them."""
        for text in (*self.workspace.engine.plugin_errors(), *PAGES.failures.values()):
            log_message(str(text), WARNING)
            self.view.status_bar.show_status(Status(text, "warning", "adapter"))

    # closing

    def _confirm_stop(self) -> bool:
        if not self.workspace.trainer.running:
            return True
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self, tr("Stop the training?"), tr("Stop the training and close? The run can be resumed later."),
            buttons.Yes | buttons.No,
        )  # fmt: skip
        return answer == buttons.Yes

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask about unsaved changes and a running training, then end all threads."""
        if not (self._confirm_stop() and self.files.confirm_discard()):
            event.ignore()
            return
        self._rebuild_timer.stop()
        self.settings.geometry = self.saveGeometry()
        self.hide()
        self.recovery.clear()
        self.workspace.close()
        event.accept()
