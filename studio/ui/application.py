"""The Qt application: theme, language, window, and the dialog for unexpected errors."""

import faulthandler
import gc
import sys
import threading
import traceback
from logging import CRITICAL
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import QApplication, QMessageBox

from studio.core import paths
from studio.ui.i18n.language import ENGLISH, language, localized, tr
from studio.ui.services.app_log import app_log, log_message
from studio.ui.services.error_text import error_message
from studio.ui.services.settings import Settings
from studio.ui.style.theme import load_fonts, theme
from studio.ui.window.focus_ring import FocusRing
from studio.ui.window.main_window import MainWindow

_GC_GENERATION_2_THRESHOLD = 50
"""Full collections hold every thread, for 30 ms with a large folder of images listed: one in 50 of the younger ones."""


class ErrorReporter(QObject):
    """Shows uncaught errors of any thread in a dialog, one at a time."""

    _error_caught = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._showing = False
        self._error_caught.connect(self.show)
        self._previous = sys.excepthook, threading.excepthook

    def install(self) -> None:
        """Install the exception hooks."""
        sys.excepthook = self.handle_error
        threading.excepthook = lambda args: self.handle_error(args.exc_type, args.exc_value, args.exc_traceback)

    def remove(self) -> None:
        """Restore the hooks before."""
        sys.excepthook, threading.excepthook = self._previous

    def handle_error(self, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        """Log an error of any thread, and show it on the window's thread."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            QTimer.singleShot(0, QApplication.closeAllWindows)
            return
        report = "".join(traceback.format_exception(kind, error, trace))
        if sys.stderr is not None:
            sys.stderr.write(report)
        message = error_message(error or kind())
        log_message(f"{message}\n{report}", CRITICAL)
        self._error_caught.emit((message, report))

    def show(self, caught: tuple[str, str]) -> None:
        """Show the error, with its report to copy."""
        if self._showing:
            return
        self._showing = True
        message, report = caught
        ok = QMessageBox.StandardButton.Ok
        box = QMessageBox(QMessageBox.Icon.Critical, tr("Something went wrong"), localized(message), ok)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setDefaultButton(ok)
        box.setEscapeButton(ok)
        box.setInformativeText(tr("You can continue working. Save your recipe; use Copy report to report this error."))
        box.setDetailedText(report)
        copy = box.addButton(tr("Copy report"), QMessageBox.ButtonRole.ActionRole)
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(app_log().report(str(message))))
        log_button = box.addButton(tr("Open the log"), QMessageBox.ButtonRole.AcceptRole)
        log_button.clicked.connect(_show_log)
        box.exec()
        self._showing = False


def _show_log() -> None:
    for window in QApplication.topLevelWidgets():
        if isinstance(window, MainWindow):
            window.show_page("log")


def make_application(arguments: list[str], theme_choice: str = "light", language_choice: str = ENGLISH) -> QApplication:
    """Return the application in its theme and language; the existing one if there is one."""
    existing = QApplication.instance()
    application = existing if isinstance(existing, QApplication) else QApplication(arguments)
    application.setApplicationName("peft-studio")
    application.setApplicationDisplayName("PEFT Studio")
    application.setDesktopFileName("peft-studio")
    application.setWindowIcon(QIcon(str(paths.resource("icons", "peft-studio.svg"))))
    application.setStyle("Fusion")
    if existing is None:
        FocusRing(application)
    sys.setswitchinterval(0.002)  # the window waits less for Python's lock while a training thread holds it
    gc.set_threshold(*gc.get_threshold()[:2], _GC_GENERATION_2_THRESHOLD)
    load_fonts()
    theme().apply(theme_choice)
    language().set_language(language_choice)
    return application


def run(path: str | None = None) -> int:
    """Open the window, with the recipe or run at ``path``, and return the exit status when it is closed."""
    if sys.stderr is not None:
        faulthandler.enable()
    settings = Settings()
    application = make_application(sys.argv[:1], settings.theme, settings.language)
    app_log().open()
    reporter = ErrorReporter()
    reporter.install()
    QGuiApplication.styleHints().colorSchemeChanged.connect(lambda scheme: theme().apply(theme().choice))
    window = MainWindow(settings)
    window.resize(window.size().boundedTo(window.screen().availableSize()))
    window.restoreGeometry(settings.geometry)
    window.show()
    window.start(Path(path) if path else None)
    try:
        return application.exec()
    finally:
        reporter.remove()
        app_log().close()


def main() -> None:
    """Open the window with the file of the command line; the entry point of the program without a console."""
    sys.exit(run(sys.argv[1] if len(sys.argv) > 1 else None))
