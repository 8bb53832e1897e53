"""A banner for errors: it logs them, offers what helps, and copies a report."""

from logging import WARNING

from PySide6.QtGui import QAction, QGuiApplication

from studio.ui.i18n.language import localized, tr
from studio.ui.services.app_log import app_log, log_message
from studio.ui.services.error_text import ErrorText
from studio.ui.shared.error_actions import ErrorAction, action_for, find_window
from studio.ui.widgets.components import Banner


class ErrorBanner(Banner):
    """A message of the tone "bad" goes into the log, in English, and comes with buttons."""

    def show_message(self, message: str, tone: str = "info", *actions: QAction) -> None:
        """Show a sentence; a bad one with ``actions``, or else the action for its code, and "Copy report"."""
        if tone != "bad" or not message:
            super().show_message(message, tone, *actions)
            return
        if localized(message) != self.message:
            log_message(str(message), WARNING)
        known = action_for(message)
        own = actions or ((self._action(known, message),) if known else ())
        super().show_message(message, tone, *own, self._copy_action(str(message)))

    def _action(self, action: ErrorAction, message: str) -> QAction:
        made = QAction(localized(action.label), self._button_row)
        error = message if isinstance(message, ErrorText) else ErrorText.of(message, "", {})
        made.triggered.connect(lambda: (window := find_window(self)) and action.run(window, error))
        return made

    def _copy_action(self, english: str) -> QAction:
        made = QAction(tr("Copy report"), self._button_row)
        made.triggered.connect(lambda: QGuiApplication.clipboard().setText(app_log().report(english)))
        return made
