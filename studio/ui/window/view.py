"""The content of the main window: step bar, pages and status bar. It is built anew for another language or theme."""

from dataclasses import dataclass, field

from PySide6.QtCore import QTimer
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QWidget

from studio.ui.i18n.language import localized, tr
from studio.ui.pages.registry import step_specs
from studio.ui.services.background import listen
from studio.ui.services.engine import RecipeCounts
from studio.ui.services.workspace import Workspace
from studio.ui.style.theme import theme
from studio.ui.widgets.components import HBox, IconButton, VBox
from studio.ui.window.page_stack import PageStack, ViewState
from studio.ui.window.resource_button import ResourceButton
from studio.ui.window.status_bar import Status, StatusBar
from studio.ui.window.step_bar import StepBar
from studio.ui.window.undo_history import UndoHistoryButton

FIRST_PAGE = "data"


@dataclass(frozen=True, slots=True)
class WindowState:
    """State that a rebuilt view restores: the page in view, the state of the pages, and the status."""

    page: str = FIRST_PAGE
    pages: ViewState = field(default_factory=dict)
    status: Status = field(default_factory=Status)


class WindowView(QWidget):
    """Shows the workspace; ``actions`` are those of the menus, by slot."""

    def __init__(self, workspace: Workspace, actions: dict[str, QAction], state: WindowState) -> None:
        super().__init__()
        self._workspace, self._actions = workspace, actions
        self.steps = StepBar(step_specs())
        self.pages = PageStack(workspace, state.pages)
        self.status_bar = StatusBar(ResourceButton(workspace))
        self.undo_button = IconButton(tr("Undo"), "undo", workspace.document.undo_stack.undo)
        self.redo_button = IconButton(tr("Redo"), "redo", workspace.document.undo_stack.redo)
        self.history_button = UndoHistoryButton(workspace.document.undo_stack)
        dark = theme().tokens.dark
        text = tr("Light theme") if dark else tr("Dark theme")
        other = actions["light" if dark else "dark"]
        # later: the view, and with it this button, is deleted before the theme changes
        self.theme_button = IconButton(text, "sun" if dark else "moon", lambda: QTimer.singleShot(0, other.trigger))
        self.setLayout(VBox(self._header(), (self.pages, 1), self.status_bar, gap=0))
        self._connect()
        self._update_undo_actions()
        self._update_training_actions()
        self.steps.show_step(state.page)
        self.pages.show_page_soon(state.page) if state.pages else self.pages.show_page(state.page)
        self._update_done_steps()
        self.status_bar.show_status(state.status)
        if workspace.engine.last_counts is not None:
            self._show_counts(workspace.engine.last_counts)
        QTimer.singleShot(0, self, self.pages.build_when_idle)

    def _header(self) -> QFrame:
        header = QFrame()
        header.setObjectName("header")
        buttons = (self.undo_button, self.redo_button, self.history_button, 8, self.theme_button)
        header.setLayout(HBox(self.steps, None, *buttons, gap=4, margins=(16, 6, 16, 6)))
        return header

    def _connect(self) -> None:
        workspace, undo_stack = self._workspace, self._workspace.document.undo_stack
        self.steps.chosen.connect(self.show_page)
        workspace.step_requested.connect(self._show_step_beside)
        workspace.page_requested.connect(self.show_page)
        workspace.document.changed.connect(self._clear_status)
        for signal in (undo_stack.canUndoChanged, undo_stack.canRedoChanged, undo_stack.indexChanged):
            signal.connect(self._update_undo_actions)
        workspace.engine.counted.connect(self._show_counts)
        workspace.engine.loaded.connect(self._clear_status)
        workspace.images.changed.connect(self._update_done_steps)
        workspace.runs.changed.connect(self._update_done_steps)
        workspace.trainer.preparing.connect(self._update_training_actions)
        workspace.trainer.ended.connect(self._update_training_actions)
        failed = Status(tr("The engine could not be loaded"), "error", "bad")
        listen(self, workspace.engine.load_failed, lambda text: self.status_bar.show_status(failed))
        listen(self, workspace.edit_rejected, lambda text: self.status_bar.show_status(Status(text, "error", "bad")))

    def state(self) -> WindowState:
        """Return what a view built anew needs to look like this one."""
        return WindowState(self.pages.current_name, self.pages.view_states(), self.status_bar.current_status)

    def show_page(self, name: str) -> None:
        """Bring the page called ``name`` into view."""
        self.pages.show_page(name)
        self.steps.show_step(name)
        self._update_done_steps()

    def _show_step_beside(self, by: int) -> None:
        names = [spec.name for spec in step_specs()]
        self.show_page(names[names.index(self.pages.current_name) + by])

    def _clear_status(self, *_: object) -> None:
        self.status_bar.show_status(Status())

    def _update_undo_actions(self, *_: object) -> None:
        stack = self._workspace.document.undo_stack
        rows = (
            (self._actions["undo"], self.undo_button, stack.canUndo(), tr("Undo"), stack.undoText()),
            (self._actions["redo"], self.redo_button, stack.canRedo(), tr("Redo"), stack.redoText()),
        )
        for action, button, possible, name, step in rows:
            action.setEnabled(possible)
            action.setText(tr("{action}: {step}", action=name, step=step) if step else name)
            button.setEnabled(possible)
            button.setToolTip(f"{action.text()} ({action.shortcut().toString()})")

    def _show_counts(self, counts: RecipeCounts) -> None:
        if counts.parameter_counts is None:
            self.status_bar.clear_counts()
            return
        self.status_bar.show_counts(counts.parameter_counts)
        if problem := next(iter(counts.problems.values()), ""):
            self.status_bar.show_status(Status(problem, "error", "bad"))
        self._update_done_steps()

    def _update_training_actions(self, *_: object) -> None:
        running = self._workspace.trainer.running
        self._actions["start_training"].setEnabled(not running)
        self._actions["stop_training"].setEnabled(running)
        self._update_done_steps()

    def _update_done_steps(self, *_: object) -> None:
        for spec in step_specs():
            self.steps.show_done(spec.name, spec.is_done(self._workspace))


def title(workspace: Workspace) -> str:
    """Return the title of the window; Qt replaces ``[*]`` by a star while the document is modified."""
    return tr("{name}[*] · PEFT Studio", name=localized(workspace.document.name))
