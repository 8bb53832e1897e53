"""The main window: steps from left to right over one document, counts at the foot."""

from logging import WARNING
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QFrame, QMainWindow, QMessageBox, QStackedWidget

from studio import __version__
from studio.core import paths
from studio.core.run import Run
from studio.ui.i18n.language import CHINESE, ENGLISH, language, tr
from studio.ui.pages.adapters.page import AdaptersPage
from studio.ui.pages.compare.page import ComparePage
from studio.ui.pages.data.page import DataPage
from studio.ui.pages.export.page import ExportPage
from studio.ui.pages.guide.page import GuidePage
from studio.ui.pages.log.page import LogPage
from studio.ui.pages.results.page import ResultsPage
from studio.ui.pages.train.page import TrainPage
from studio.ui.services.app_log import log_message
from studio.ui.services.engine import RecipeCounts
from studio.ui.services.settings import Settings
from studio.ui.services.workspace import Workspace
from studio.ui.style.theme import theme
from studio.ui.widgets.components import HBox, IconButton, VBox, container
from studio.ui.widgets.drop_zone import FileDropFilter
from studio.ui.widgets.menu import assign_mnemonics
from studio.ui.window import actions
from studio.ui.window.crash_recovery import CrashRecovery
from studio.ui.window.file_actions import FileActions
from studio.ui.window.recent_menu import RecentMenu
from studio.ui.window.resource_button import ResourceButton
from studio.ui.window.settings_dialogs import SettingsDialog, ShortcutsDialog, set_language, set_theme, show_folder
from studio.ui.window.status_bar import StatusBar
from studio.ui.window.step_bar import StepBar
from studio.ui.window.undo_history import UndoHistoryButton

STEPS = (
    ("Data", "data"),
    ("Backbone and adapters", "layers"),
    ("Train", "train"),
    ("Results", "results"),
    ("Export", "export"),
)
DATA, ADAPTERS, TRAIN, RESULTS, EXPORT = range(5)


class MainWindow(QMainWindow):
    """Wires pages, actions and document together; decides nothing about recipes itself."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.settings = settings or Settings()
        self.workspace = Workspace()
        self.files = FileActions(self, self.workspace.document, self.settings)
        self.data = DataPage(self.workspace, self.files.open_sample)
        self.adapters = AdaptersPage(self.workspace)
        self.train = TrainPage(self.workspace)
        self.results = ResultsPage(self.workspace)
        self.export = ExportPage(self.workspace)
        self.log = LogPage(self.workspace)
        self.compare, self.guide = ComparePage(self.workspace), GuidePage(self.workspace)
        self.recovery = CrashRecovery(self.workspace.document)
        self.steps, self.status_bar = StepBar(STEPS), StatusBar(ResourceButton(self.workspace))
        self.actions_by_slot = actions.build_menus(self)
        self.recent = RecentMenu(self.settings, self.files.confirm_and_open, self)
        self.menuBar().actions()[0].menu().insertMenu(self.actions_by_slot["files.open_run"], self.recent)
        self._build()
        self._connect()
        self.show_step(DATA)
        self._update_title()
        self.status_bar.show_status(tr("Loading the engine…"), "refresh")

    def _build(self) -> None:
        self.pages = QStackedWidget()
        steps = (self.data, self.adapters, self.train, self.results, self.export)
        for page in (*steps, self.log, self.compare, self.guide):
            self.pages.addWidget(page)
        self.undo_button = IconButton(tr("Undo (Ctrl+Z)"), "undo", self.undo)
        self.redo_button = IconButton(tr("Redo (Ctrl+Shift+Z)"), "redo", self.redo)
        self.history_button = UndoHistoryButton(self.workspace.document.undo_stack)
        self.theme_button = IconButton(tr("Light or dark"), "moon", self._toggle_theme)
        theme().changed.connect(self._show_theme)
        self._show_theme()
        header = QFrame()
        header.setObjectName("header")
        header.setLayout(
            HBox(
                self.steps,
                None,
                self.undo_button,
                self.redo_button,
                self.history_button,
                8,
                self.theme_button,
                gap=4,
                margins=(16, 6, 16, 6),
            )
        )
        self.setCentralWidget(container(VBox(header, (self.pages, 1), self.status_bar, gap=0)))
        self.setMinimumSize(1080, 680)
        self.resize(1360, 860)

    def _connect(self) -> None:
        workspace, document = self.workspace, self.workspace.document
        self.steps.chosen.connect(self.show_step)
        FileDropFilter(self).dropped.connect(self._dropped)
        self.files.opened.connect(self._opened)
        self.results.compare_requested.connect(self.show_compare)
        self.adapters.palette_panel.guide_requested.connect(self.show_guide)
        workspace.step_requested.connect(lambda by: self.show_step(self.pages.currentIndex() + by))
        document.file_changed.connect(self._update_title)
        document.changed.connect(lambda recipe: self._recipe_changed())
        document.undo_stack.canUndoChanged.connect(lambda on: self._update_undo_actions())
        document.undo_stack.canRedoChanged.connect(lambda on: self._update_undo_actions())
        document.undo_stack.indexChanged.connect(lambda index: self._update_undo_actions())
        workspace.engine.counted.connect(self._show_counts)
        workspace.engine.loaded.connect(self._loaded)
        workspace.engine.load_failed.connect(
            lambda words: self.status_bar.show_status(tr("The engine could not be loaded"), "error", "bad")
        )
        workspace.images.changed.connect(lambda scan: self._update_done_steps())
        workspace.runs.changed.connect(lambda rows: self._update_done_steps())
        workspace.edit_rejected.connect(lambda words: self.status_bar.show_status(words, "error", "bad"))
        workspace.trainer.preparing.connect(self._update_training_actions)
        workspace.trainer.ended.connect(lambda run: self._update_training_actions())
        language().changed.connect(self._language_changed)
        for told in (workspace.edit_rejected, workspace.engine.load_failed):
            told.connect(lambda words: log_message(words, WARNING))
        workspace.trainer.started.connect(lambda run: log_message(f"Training of {run.path} began."))
        workspace.trainer.ended.connect(lambda run: log_message(f"Training of {run.path} ended.") if run else None)
        self._update_undo_actions()
        self._update_training_actions()

    def start(self, path: Path | None = None) -> None:
        """Begin to load the engine; open the recipe or run at ``path``, or offer what a crash left unsaved."""
        if path is not None:
            self.files.open_path(path)
        self.files.offer_recovery(self.recovery)
        QTimer.singleShot(0, self.workspace.start)

    # steps

    def show_step(self, number: int) -> None:
        """Bring a page into view."""
        self.pages.setCurrentIndex(number)
        self.steps.show_step(number)
        self._update_done_steps()

    def show_data(self) -> None:
        """The first step."""
        self.show_step(DATA)

    def show_adapters(self) -> None:
        """The second step."""
        self.show_step(ADAPTERS)

    def show_train(self) -> None:
        """The third step."""
        self.show_step(TRAIN)

    def show_results(self) -> None:
        """The fourth step."""
        self.show_step(RESULTS)

    def show_compare(self) -> None:
        """The page beside the steps that compares runs."""
        self.show_step(self.pages.indexOf(self.compare))

    def show_guide(self) -> None:
        """The page beside the steps that says which method to choose, at the one chosen in the palette."""
        chosen = self.adapters.palette_panel.payload
        if isinstance(chosen, str) and chosen:
            self.guide.show_method(chosen)
        self.show_step(self.pages.indexOf(self.guide))

    def show_export(self) -> None:
        """The fifth step."""
        self.show_step(EXPORT)

    def show_log(self) -> None:
        """What the program did and what went wrong."""
        self.show_step(self.pages.indexOf(self.log))

    # remedies

    def halve_batch(self) -> None:
        """Train fewer images at once."""
        self.workspace.set_value("training.batch_size", max(1, self.workspace.recipe.training.batch_size // 2))

    def halve_rate(self) -> None:
        """Train at half the learning rate."""
        self.workspace.set_value("training.learning_rate", self.workspace.recipe.training.learning_rate / 2)

    def use_any_device(self) -> None:
        """Train on the best device that there is."""
        self.workspace.set_value("training.device", "auto")

    def show_runs_folder(self) -> None:
        """Show where runs are kept, in the system's own window; its parent where there is none yet."""
        show_folder(str(paths.runs_dir() if paths.runs_dir().is_dir() else paths.data_dir()))

    # the document

    def _opened(self, source: object) -> None:
        if isinstance(source, Run):
            self.workspace.runs.select(source)
        self.show_step(TRAIN if isinstance(source, Run) else DATA if source == "new" else ADAPTERS)

    def _dropped(self, path: Path) -> None:
        """A recipe or a run is opened, anything else taken for images."""
        if path.suffix == ".toml" or (path / "events.jsonl").is_file():
            self.files.confirm_and_open(path)
            return
        self.data.use_images(path)
        self.show_step(DATA)

    def undo(self) -> None:
        """Take back the last edit."""
        self.workspace.document.undo_stack.undo()

    def redo(self) -> None:
        """Make the edit again."""
        self.workspace.document.undo_stack.redo()

    # training

    def start_training(self) -> None:
        """Go to the third step and start."""
        self.show_step(TRAIN)
        self.train.start()

    def stop_training(self) -> None:
        """Ask the run to stop."""
        self.workspace.trainer.stop()

    # the look

    def light(self) -> None:
        """Light theme."""
        self._use_theme("light")

    def dark(self) -> None:
        """Dark theme."""
        self._use_theme("dark")

    def system_theme(self) -> None:
        """Theme of the system."""
        self._use_theme("system")

    def _toggle_theme(self) -> None:
        self._use_theme("light" if theme().tokens.dark else "dark")

    def _show_theme(self) -> None:
        dark = theme().tokens.dark
        self.theme_button.icon_tint.show("sun" if dark else "moon")
        self.theme_button.setToolTip(tr("Light theme") if dark else tr("Dark theme"))

    def _use_theme(self, choice: str) -> None:
        set_theme(self.settings, choice)

    def english(self) -> None:
        """Speak English."""
        self._use_language(ENGLISH)

    def chinese(self) -> None:
        """Speak Chinese."""
        self._use_language(CHINESE)

    def _use_language(self, choice: str) -> None:
        if problem := set_language(self.settings, choice):
            self.status_bar.show_status(problem, "warning", "adapter")

    def _language_changed(self) -> None:
        """Say everything again in another language."""
        assign_mnemonics(self.menuBar().actions())
        self.workspace.re_emit()
        self._update_title()
        self._update_undo_actions()
        self._show_theme()

    def show_settings(self) -> None:
        """Language, theme and folders."""
        dialog = SettingsDialog(self.settings, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def show_keys(self) -> None:
        """Which keys do what."""
        ShortcutsDialog(self).open()

    def about(self) -> None:
        """Say what this is."""
        QMessageBox.about(
            self,
            tr("About PEFT Studio"),
            tr(
                "PEFT Studio {version}\n\nFine-tune vision networks by attaching adapters to layers.",
                version=__version__,
            ),
        )

    # showing

    def _update_title(self) -> None:
        document = self.workspace.document
        self.setWindowTitle(tr("{name}[*] · PEFT Studio", name=document.name))
        self.setWindowModified(document.modified)

    def _update_undo_actions(self) -> None:
        history = self.workspace.document.undo_stack
        pairs = (
            ("undo", history.canUndo(), history.undoText(), self.undo_button),
            ("redo", history.canRedo(), history.redoText(), self.redo_button),
        )
        for call, possible, words, button in pairs:
            action = self.actions_by_slot[call]
            action.setEnabled(possible)
            name = {"undo": tr("Undo"), "redo": tr("Redo")}[call]
            action.setText(f"{name}: {words}" if words else name)
            button.setEnabled(possible)
            button.setToolTip(f"{action.text()} ({action.shortcut().toString()})")

    def _loaded(self) -> None:
        """The engine is there; what of the plugins is not, is said."""
        self.status_bar.show_status("")
        for words in self.workspace.engine.plugin_errors():
            log_message(words, WARNING)
            self.status_bar.show_status(tr(words), "warning", "adapter")

    def _recipe_changed(self) -> None:
        self.status_bar.show_status("")

    def _show_counts(self, counts: RecipeCounts) -> None:
        census = counts.parameter_counts
        if census is None:
            self.status_bar.clear_counts()
            return
        self.status_bar.show_counts(
            census.trainable_parameters, census.total_parameters, census.adapter_bytes, census.head_parameters
        )
        problem = next(iter(counts.problems.values()), "")
        if problem:
            self.status_bar.show_status(problem, "error", "bad")
        self._update_done_steps()

    def _update_training_actions(self) -> None:
        running = self.workspace.trainer.running
        self.actions_by_slot["start_training"].setEnabled(not running)
        self.actions_by_slot["stop_training"].setEnabled(running)
        self._update_done_steps()

    def _update_done_steps(self) -> None:
        """Tick the steps that are done."""
        workspace = self.workspace
        counted = workspace.engine.last_counts
        row = workspace.runs.find(workspace.runs.selected)
        self.steps.show_done(DATA, workspace.images.scan.summary is not None)
        self.steps.show_done(ADAPTERS, bool(workspace.recipe.attachments) and bool(counted and not counted.problems))
        self.steps.show_done(TRAIN, row is not None and row.state == "completed")

    # leaving

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
        """Qt: ask about unsaved changes and a running training, then end all threads."""
        if not (self._confirm_stop() and self.files.confirm_discard()):
            event.ignore()
            return
        self.settings.geometry = self.saveGeometry()
        self.hide()
        self.recovery.clear()
        self.workspace.close()
        event.accept()
