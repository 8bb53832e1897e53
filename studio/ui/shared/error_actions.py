"""What can be done about an error at the press of a button: a sentence that names a way out leads to it."""

from dataclasses import dataclass
from operator import attrgetter

from PySide6.QtWidgets import QWidget

from studio.ui.i18n.language import language


@dataclass(frozen=True, slots=True)
class Remedy:
    """``sign`` is what the English sentence says; ``call`` is a method of the main window or of a part of it."""

    sign: str
    words: str
    call: str


TABLE = (
    Remedy("training.batch_size", "Halve the batch size", "halve_batch"),
    Remedy("training.learning_rate", "Halve the learning rate", "halve_rate"),
    Remedy("training.device", "Choose the device by itself", "any_device"),
    Remedy("choose a folder", "Choose a folder…", "data.chooser.folder"),
    Remedy("set data.path", "Choose a folder…", "data.chooser.folder"),
    Remedy("choose another folder", "Choose a folder…", "data.chooser.folder"),
    Remedy("choose a list", "Choose a list…", "data.chooser.list_"),
    Remedy("local checkpoint", "Choose another backbone…", "adapters.choose_backbone"),
    Remedy("choose a backbone", "Choose another backbone…", "adapters.choose_backbone"),
    Remedy("attach a method", "Show the adapters", "show_adapters"),
    Remedy("make room on the disk", "Show the folder of the runs", "show_runs_folder"),
    Remedy("The run cannot be written to", "Show the folder of the runs", "show_runs_folder"),
    Remedy("Unexpected ", "Open the log", "show_log"),
)


def remedy(shown: str) -> Remedy | None:
    """What helps against the error that ``shown`` tells of, in whatever language; None where nothing is known."""
    sentence = language().source(shown)
    return next((row for row in TABLE if row.sign in sentence), None)


def apply(choice: Remedy, near: QWidget) -> None:
    """Do ``choice`` in the main window that ``near`` is in, or whose dialog it is in."""
    window: QWidget | None = near.window()
    while window is not None and not hasattr(window, "actions_by_call"):
        window = window.parentWidget().window() if window.parentWidget() else None
    if window is not None:
        attrgetter(choice.call)(window)()
