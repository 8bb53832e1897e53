"""The log as a table."""

import logging
import time

from studio.ui.i18n.language import tr
from studio.ui.services.app_log import MAX_LINES, LogLine
from studio.ui.widgets.table_model import RowTableModel


class LogModel(RowTableModel[LogLine]):
    """Entries, the newest first."""

    columns = ("Time", "Level", "Message")

    def cells(self, row: LogLine) -> tuple[str, ...]:
        """When, how bad, and the first line of what."""
        return time.strftime("%H:%M:%S", time.localtime(row.time)), level_name(row.level), row.text.partition("\n")[0]

    def tool_tip(self, row: LogLine) -> str:
        """All of it."""
        return row.text

    def add(self, row: LogLine) -> None:
        """Put a new entry at the head, and let the oldest go."""
        self.show_rows((row, *self.rows[: MAX_LINES - 1]))


def level_name(level: int) -> str:
    """A level in words."""
    if level >= logging.ERROR:
        return tr("Error")
    return tr("Warning") if level >= logging.WARNING else tr("Note")
