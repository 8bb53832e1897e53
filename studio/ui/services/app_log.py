"""The log of the program: a rotating file, and the last lines for the window."""

import logging
import platform
from collections import deque
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

from PySide6.QtCore import QMessageLogContext, QObject, QtMsgType, Signal, qInstallMessageHandler

from studio import __version__
from studio.core import paths

MAX_LINES = 2_000
"""Number of lines that the window keeps."""
_MAX_BYTES = 1_000_000
_REPORT_LINES = 50
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LOGGER = logging.getLogger("studio")
_QT_LEVELS = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One entry: ``level`` as in ``logging``, ``time`` in seconds since 1970."""

    time: float
    level: int
    logger_name: str
    text: str


class AppLog(QObject):
    """The last lines, oldest first; ``line_added`` carries each new one, on the window's thread."""

    line_added = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[LogLine] = deque(maxlen=MAX_LINES)
        self._handler = _LogHandler(self)
        self._file: RotatingFileHandler | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return paths.log_dir() / "studio.log"

    def open(self) -> None:
        """Start to log messages of the program, its libraries and Qt; a folder that cannot be written is no error."""
        logging.captureWarnings(True)
        for logger in (_LOGGER, logging.getLogger("py.warnings")):
            logger.addHandler(self._handler)
        _LOGGER.setLevel(logging.INFO)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = RotatingFileHandler(
                self.path, maxBytes=_MAX_BYTES, backupCount=3, encoding="utf-8", delay=True
            )
            self._file.setFormatter(logging.Formatter(_FORMAT))
            _LOGGER.addHandler(self._file)
        except OSError as error:
            _LOGGER.warning("The log cannot be written: %s", error)
        qInstallMessageHandler(_from_qt)
        _LOGGER.info("PEFT Studio %s, Python %s, %s", __version__, platform.python_version(), platform.platform())

    def close(self) -> None:
        """Stop writing."""
        qInstallMessageHandler(None)
        logging.captureWarnings(False)
        for handler in (self._handler, self._file):
            if handler is not None:
                _LOGGER.removeHandler(handler)
                logging.getLogger("py.warnings").removeHandler(handler)
                handler.close()
        self._file = None

    def report(self, problem: str = "") -> str:
        """Return a report of ``problem``: versions and the last lines.

        It is meant for others, so the home folder, and with it the user's name, is replaced by a tilde.
        """
        head = f"PEFT Studio {__version__}, Python {platform.python_version()}, {platform.platform()}"
        lines = (f"{logging.getLevelName(line.level)} {line.text}" for line in list(self.lines)[-_REPORT_LINES:])
        return "\n".join([*([problem, ""] if problem else []), head, "", *lines]).replace(str(Path.home()), "~")


class _LogHandler(logging.Handler):
    """Passes records of any thread to the window."""

    def __init__(self, log: AppLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        line = LogLine(record.created, record.levelno, record.name, text)
        self._log.lines.append(line)
        self._log.line_added.emit(line)


def _from_qt(kind: QtMsgType, context: QMessageLogContext, message: str) -> None:
    _LOGGER.getChild("qt").log(_QT_LEVELS.get(kind, logging.WARNING), message)


def log_message(text: str, level: int = logging.INFO) -> None:
    """Log a line, from any thread."""
    _LOGGER.log(level, text)


_app_log: AppLog | None = None


def app_log() -> AppLog:
    """Return the log of the application."""
    global _app_log
    if _app_log is None:
        _app_log = AppLog()
    return _app_log
