"""Actions that help against an error, chosen by its code."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from PySide6.QtWidgets import QWidget

from studio.core.messages import N_
from studio.core.recipe import Recipe
from studio.ui.services.error_text import UNEXPECTED, ErrorText
from studio.ui.services.workspace import Workspace


@runtime_checkable
class ActionWindow(Protocol):
    """The part of the main window that the actions need."""

    workspace: Workspace

    def page(self, name: str) -> Any:
        """Return the page called ``name``."""

    def show_page(self, name: str) -> None:
        """Bring the page called ``name`` into view."""

    def show_runs_folder(self) -> None:
        """Show the runs folder in the file manager."""


@dataclass(frozen=True, slots=True)
class ErrorAction:
    """A button beside an error: its label, and what it does in the window."""

    label: str
    run: Callable[[ActionWindow, ErrorText], object]


def _halve(path: str) -> Callable[[ActionWindow, ErrorText], None]:
    """Return the action that halves the value at ``path`` in the recipe that failed."""

    def run(window: ActionWindow, error: ErrorText) -> None:
        workspace = window.workspace
        recipe = error.recipe or workspace.recipe
        value = halved(recipe, path)
        if error.recipe is None:
            workspace.set_value(path, value)
        else:
            workspace.queue.replace_failed(error.recipe, path, value)

    return run


def halved(recipe: Recipe, path: str) -> int | float:
    """Return half the number at the dotted ``path``; a whole number stays one, and at least 1."""
    value: Any = recipe
    for name in path.split("."):
        value = getattr(value, name)
    return max(1, value // 2) if isinstance(value, int) else value / 2


def _choose_folder(window: ActionWindow, error: ErrorText) -> None:
    window.show_page("data")
    window.page("data").chooser.choose_folder()


def _choose_list(window: ActionWindow, error: ErrorText) -> None:
    window.show_page("data")
    window.page("data").chooser.choose_list()


def _choose_backbone(window: ActionWindow, error: ErrorText) -> None:
    window.show_page("adapters")
    window.page("adapters").choose_backbone()


def _use_any_device(window: ActionWindow, error: ErrorText) -> None:
    if error.recipe is None:
        window.workspace.set_value("training.device", "auto")
    else:
        window.workspace.queue.replace_failed(error.recipe, "training.device", "auto")


HALVE_BATCH = ErrorAction(N_("Halve the batch size"), _halve("training.batch_size"))
HALVE_RATE = ErrorAction(N_("Halve the learning rate"), _halve("training.learning_rate"))
CHOOSE_DEVICE = ErrorAction(N_("Choose the device automatically"), _use_any_device)
CHOOSE_FOLDER = ErrorAction(N_("Choose a folder…"), _choose_folder)
CHOOSE_LIST = ErrorAction(N_("Choose a list…"), _choose_list)
CHOOSE_BACKBONE = ErrorAction(N_("Choose another backbone…"), _choose_backbone)
SHOW_ADAPTERS = ErrorAction(N_("Show the adapters"), lambda window, error: window.show_page("adapters"))
SHOW_RUNS = ErrorAction(N_("Show the runs folder"), lambda window, error: window.show_runs_folder())
OPEN_LOG = ErrorAction(N_("Open the log"), lambda window, error: window.show_page("log"))

ACTIONS: dict[str, ErrorAction] = {
    "out-of-memory": HALVE_BATCH,
    "diverged": HALVE_RATE,
    "no-device": CHOOSE_DEVICE,
    "unknown-device": CHOOSE_DEVICE,
    **dict.fromkeys(
        (
            "no-data",
            "no-source",
            "no-images",
            "no-readable-images",
            "one-class",
            "unknown-source",
            "damaged-source",
            "unreadable-folder",
        ),
        CHOOSE_FOLDER,
    ),
    "no-class-folders": CHOOSE_LIST,
    "unreadable-list": CHOOSE_LIST,
    **dict.fromkeys(
        ("no-layers", "missing-file", "checkpoint-mismatch", "unavailable-weights", "unsafe-file"), CHOOSE_BACKBONE
    ),
    "nothing-to-train": SHOW_ADAPTERS,
    "disk-full": SHOW_RUNS,
    "cannot-write": SHOW_RUNS,
    UNEXPECTED: OPEN_LOG,
}
"""The action for each code of an error that one helps against."""


def action_for(message: str) -> ErrorAction | None:
    """Return the action that helps against the error of ``message``; None if it is no error text or nothing helps."""
    return ACTIONS.get(message.code) if isinstance(message, ErrorText) else None


def find_window(widget: QWidget) -> ActionWindow | None:
    """Return the main window that ``widget`` is in, or whose dialog it is in."""
    window: QWidget | None = widget.window()
    while window is not None and not isinstance(window, ActionWindow):
        parent = window.parentWidget()
        window = parent.window() if parent else None
    return window
