"""What can be done about an error at the press of a button: a sentence that names a way out leads to it."""

from dataclasses import dataclass
from operator import attrgetter

from PySide6.QtWidgets import QWidget


@dataclass(frozen=True, slots=True)
class ErrorAction:
    """``error_code`` is what the English sentence says; ``slot`` is a method of the main window or of a part of it."""

    error_code: str
    label: str
    slot: str


ERROR_ACTIONS = (
    ErrorAction("training.batch_size", "Halve the batch size", "halve_batch"),
    ErrorAction("training.learning_rate", "Halve the learning rate", "halve_rate"),
    ErrorAction("training.device", "Choose the device by itself", "use_any_device"),
    ErrorAction("choose a folder", "Choose a folder…", "data.chooser.choose_folder"),
    ErrorAction("set data.path", "Choose a folder…", "data.chooser.choose_folder"),
    ErrorAction("choose another folder", "Choose a folder…", "data.chooser.choose_folder"),
    ErrorAction("choose a list", "Choose a list…", "data.chooser.choose_list"),
    ErrorAction("local checkpoint", "Choose another backbone…", "adapters.choose_backbone"),
    ErrorAction("choose a backbone", "Choose another backbone…", "adapters.choose_backbone"),
    ErrorAction("attach a method", "Show the adapters", "show_adapters"),
    ErrorAction("make room on the disk", "Show the folder of the runs", "show_runs_folder"),
    ErrorAction("The run cannot be written to", "Show the folder of the runs", "show_runs_folder"),
    ErrorAction("Unexpected ", "Open the log", "show_log"),
)


def action_for(message: str) -> ErrorAction | None:
    """What helps against the error that ``message`` tells of, in whatever language; None where nothing is known."""
    return next((row for row in ERROR_ACTIONS if row.error_code in message), None)


def run_action(action: ErrorAction, widget: QWidget) -> None:
    """Do ``action`` in the main window that ``widget`` is in, or whose dialog it is in."""
    window: QWidget | None = widget.window()
    while window is not None and not hasattr(window, "actions_by_slot"):
        window = window.parentWidget().window() if window.parentWidget() else None
    if window is not None:
        attrgetter(action.slot)(window)()
