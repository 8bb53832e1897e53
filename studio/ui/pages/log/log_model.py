"""Table model of the log."""

import logging
import time

from studio.core.messages import N_
from studio.ui.i18n.language import tr
from studio.ui.services.app_log import MAX_LINES, LogLine
from studio.ui.widgets.table_model import RowTableModel


class LogModel(RowTableModel[LogLine]):
    """Entries, newest first."""

    columns = (N_("Time"), N_("Level"), N_("Message"))

    def cells(self, row: LogLine) -> tuple[str, ...]:
        """Return time, level and the first line of the text."""
        return time.strftime("%H:%M:%S", time.localtime(row.time)), level_name(row.level), row.text.partition("\n")[0]

    def tool_tip(self, row: LogLine) -> str:
        """Return the full text."""
        return row.text

    def add(self, row: LogLine) -> None:
        """Insert a new entry at the top and drop the oldest beyond the limit."""
        self.show_rows((row, *self.rows[: MAX_LINES - 1]))


def level_name(level: int) -> str:
    """Return the name of a logging level."""
    if level >= logging.ERROR:
        return tr("Error")
    return tr("Warning") if level >= logging.WARNING else tr("Info")
